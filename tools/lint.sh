#!/bin/sh
# Check style and types; `make lint` calls this with the environment's tools first in PATH.
set -eu
cd "$(dirname -- "$0")/.."
failed=0

check() {
    echo "$1"
    shift
    "$@" || failed=1
}

check 'ruff' ruff check --quiet .
check 'ruff format' ruff format --quiet --check .
check 'mypy --strict' mypy --strict
if command -v shellcheck >/dev/null; then
    check 'shellcheck' shellcheck .ci/run tools/*.sh
else
    echo 'shellcheck is not installed: the shell scripts were not checked'
fi
if command -v node >/dev/null; then
    # A module is only read as one from standard input, whatever its name ends in.
    modules=$(find rtc_signaling/web test benchmarks -name node_modules -prune -o \
        -name '*.js' -print -o -name '*.mjs' -print)
    for module in $modules; do
        check "node --check $module" node --input-type=module --check <"$module"
    done
else
    echo 'node is not installed: the modules of the page were not checked'
fi
exit "$failed"

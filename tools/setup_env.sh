#!/bin/sh
# Make the virtual environment DIRECTORY, or bring it up to date: `make` calls this.
#
#   tools/setup_env.sh DIRECTORY run|test [kilted|jazzy]
#
# Without ROS the environment holds the wheels of rclpy, of Kilted unless Jazzy is asked for. With
# ROS sourced it lies on top of ROS and holds only what ROS lacks. `run` is what the demo needs,
# `test` adds the tools and tests.
# PYTHON=/path/to/python3 overrides the choice of the interpreter.
set -eu

readonly wheel_pythons='3.11 3.12'  # the versions for which there are wheels of rclpy
# rclpy's wheels set this in every process; inherited, it would keep this environment's Python
# from finding its own libraries.
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE

main() {
    venv=$1
    kind=$2
    wheels=${3:-kilted}
    cd "$(dirname -- "$0")/.."
    ros=
    if [ -n "${AMENT_PREFIX_PATH:-}" ] && [ -n "${ROS_DISTRO:-}" ]; then
        ros=$ROS_DISTRO
    fi
    case $wheels in
        kilted) distribution=ros ;;
        jazzy) distribution=ros-jazzy ;;
        *) fail "the third argument is '$wheels'; there are wheels of kilted and jazzy" ;;
    esac
    if [ -n "$ros" ] && [ "$wheels" != kilted ]; then
        fail "the wheels of $wheels are asked for, but ROS $ros is sourced: use a shell without it"
    fi
    case $kind-${ros:+ros} in
        run-) requirements="build run $distribution" ;;
        run-ros) requirements='build run' ;;
        test-) requirements="build run $distribution test pytest" ;;
        test-ros) requirements='build run test pytest-ros' ;;
        *) fail "the second argument is '$kind'; it has to be run or test" ;;
    esac
    stamp=$venv/.ready-$kind
    if [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint)" ]; then
        return
    fi
    find_python
    make_environment
    install_requirements
    install_package
    fingerprint >"$stamp"
    if [ "$kind" = test ]; then
        cp "$stamp" "$venv/.ready-run"
    fi
}

# Everything that the environment depends on, in one line. Only what is quick to find out.
fingerprint() {
    sources=$(cat setup.py setup.cfg tools/setup_env.sh requirements/*.txt | cksum)
    version=$("$venv/bin/python3" -V 2>/dev/null) || version=none
    echo "$PWD ros=$ros wheels=$wheels python=${PYTHON:-any} $version $sources"
}

# Set `python` to the first interpreter that fits, or say what to install.
find_python() {
    without_venv=
    if [ -n "$ros" ]; then
        suits=suits_ros
    else
        check_wheels_exist
        suits=suits_wheels
    fi
    # Names are tried by running them: a shim of pyenv may be there and lead nowhere.
    for python in $(candidates); do
        if "$suits" "$python"; then
            if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
                return
            fi
            without_venv=$python
        fi
    done
    if [ -n "$without_venv" ]; then
        version=$("$without_venv" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        fail "$without_venv cannot make a virtual environment: sudo apt install python3-venv" \
            "(or python$version-venv), then run make again."
    elif [ -n "${PYTHON:-}" ]; then
        fail "PYTHON=$PYTHON does not fit: $(wanted)."
    elif [ -n "$ros" ]; then
        fail "ROS $ros is sourced, but no Python here can import rclpy: $(wanted)." \
            "Is /opt/ros/$ros/setup.bash sourced, and ros-$ros-rclpy installed?"
    fi
    fail "no fitting Python: $(wanted). Found: $(found)." \
        'Where apt has it: sudo apt install python3.12 python3.12-venv (or python3.11, or plain' \
        'python3 python3-venv on Debian 12 and Ubuntu 24.04).' \
        'Elsewhere: uv python install 3.12, or pyenv install 3.12. Then run make again.'
}

candidates() {
    if [ -n "${PYTHON:-}" ]; then
        echo "$PYTHON"
    elif [ -n "$ros" ]; then
        echo /usr/bin/python3 python3
    elif [ "$wheels" = jazzy ]; then
        # Jazzy's own Python wherever it is, before any other.
        echo python3.12
        installed 3.12
        echo python3.11 python3 /usr/bin/python3
        installed 3.11
    else
        echo python3.12 python3.11 python3 /usr/bin/python3
        installed 3.12
        installed 3.11
    fi
}

# List the interpreters of a version that pyenv and uv keep outside PATH.
installed() {
    for root in "${PYENV_ROOT:-$HOME/.pyenv}/versions" \
        "${XDG_DATA_HOME:-$HOME/.local/share}/uv/python"; do
        ls -d "$root"/*"$1"*/bin/python"$1" 2>/dev/null || true
    done
}

suits_wheels() {
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || return 1
    case " $wheel_pythons " in
        *" $version "*) ;;
        *) return 1 ;;
    esac
}

suits_ros() {
    "$1" -c 'import sys; assert sys.version_info >= (3, 11); import rclpy' 2>/dev/null
}

wanted() {
    if [ -n "$ros" ]; then
        echo 'wanted is Python 3.11 or newer with rclpy, as ROS 2 Jazzy and later have it'
    else
        echo 'wanted is Python 3.11 or 3.12, for which there are wheels of rclpy'
    fi
}

found() {
    for name in python3.12 python3.11 python3; do
        "$name" -V 2>/dev/null || true
    done | sort -u | paste -s -d , - | sed 's/^$/none/; s/,/, /g'
}

check_wheels_exist() {
    machine=$(uname -s)-$(uname -m)
    if [ "$machine" != Linux-x86_64 ]; then
        fail "there are no wheels of rclpy for $machine." \
            'Install ROS 2 (Jazzy or later), source its setup.bash and run make again.'
    fi
}

make_environment() {
    base=$("$python" -c 'import os, sys; print(os.path.realpath(sys.executable))')
    made_for="$base for $PWD/$venv"  # its scripts begin with its path, so it cannot be moved
    if [ "$(cat "$venv/.made-for" 2>/dev/null)" = "$made_for" ] &&
        "$venv/bin/python3" -V >/dev/null 2>&1; then
        say "Bringing $venv up to date"
        rm -f "$venv"/.ready-*
        return
    fi
    say "Making $venv with $("$python" -V) ($base); this takes a minute or two, once"
    if [ -n "$ros" ]; then
        "$python" -m venv --clear --system-site-packages "$venv"
    else
        "$python" -m venv --clear "$venv"
    fi
    echo "$made_for" >"$venv/.made-for"
}

install_requirements() {
    set --
    for name in $requirements; do
        set -- "$@" -r "requirements/$name.txt"
    done
    if [ -n "$ros" ]; then
        # cv_bridge and the messages were built against this numpy.
        "$venv/bin/python3" -c 'import numpy; print("numpy==" + numpy.__version__)' \
            >"$venv/.constraints"
        set -- "$@" -c "$venv/.constraints"
        if ! "$venv/bin/python3" -c 'import cv2' 2>/dev/null; then
            say 'ROS has no OpenCV here (python3-opencv): installing its wheel'
            set -- "$@" opencv-python-headless
        fi
    fi
    pip_install "$@"
}

# Install the package so that an edit takes effect at once. pip leaves out the files of share/ and
# lib/rtc_signaling for such an installation, so links stand for them.
install_package() {
    pip_install --no-build-isolation --no-deps --editable .
    index=share/ament_index/resource_index/packages
    mkdir -p "$venv/$index" "$venv/share/rtc_signaling" "$venv/lib/rtc_signaling"
    link resource/rtc_signaling "$index/rtc_signaling"
    for name in package.xml launch config; do
        link "$name" "share/rtc_signaling/$name"
    done
    for name in signaling_server camera_sender test_camera doctor; do
        ln -sfn "../../bin/$name" "$venv/lib/rtc_signaling/$name"
    done
}

link() {
    ln -sfn "$PWD/$1" "$venv/$2"
}

# Quiet when it works: pip warns of other packages on the machine that concern nobody here.
pip_install() {
    log=$venv/.pip.log
    if ! "$venv/bin/python3" -m pip install --no-input --disable-pip-version-check "$@" \
        </dev/null >"$log" 2>&1
    then
        tail -n 15 "$log" >&2
        fail "pip could not install into $venv (its last lines are above, all are in $log)." \
            'A package index has to be reachable the first time; run make again.'
    fi
}

say() {
    echo "$*" >&2
}

fail() {
    say "error: $*"
    exit 1
}

main "$@"

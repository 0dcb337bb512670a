#!/bin/sh
# Install the receivers of others that test/receivers watches the camera with, and the GStreamer
# that benchmarks/media.py measures: `make receivers` calls this. Debian and Ubuntu.
#
# Nothing of it is needed otherwise: tests whose receiver is missing are skipped.
set -eu
cd "$(dirname -- "$0")/.."

# Plugins: videoconvert (base), RTP and vp8dec (good), webrtcbin (bad), x264enc (ugly), ICE (nice),
# avdec_h264 (libav).
readonly packages='firefox-esr faketime python3-gi gir1.2-gst-plugins-base-1.0
    gir1.2-gst-plugins-bad-1.0
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    gstreamer1.0-plugins-ugly gstreamer1.0-nice gstreamer1.0-libav'

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

if command -v apt-get >/dev/null; then
    wanted=$packages
    if grep -qs '^ID=ubuntu' /etc/os-release; then
        # There Firefox is a snap, which takes no profile of its own.
        wanted=$(echo "$packages" | sed 's/firefox-esr//')
        echo 'Firefox is left out: that of Ubuntu is a snap. Set FIREFOX=PATH to use another.' >&2
    fi
    as_root apt-get update
    # shellcheck disable=SC2086  # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $wanted
else
    echo 'No apt-get: install Firefox and GStreamer with webrtcbin by other means.' >&2
fi
if command -v npm >/dev/null; then
    (cd test/receivers && npm ci)
else
    echo 'No npm: werift is left out.' >&2
fi

#!/usr/bin/env bash
# Runs a root file system from docker/build.sh as its container would run: read-only, as its user, with /tmp in memory.
# Needs root, but no container engine. Posts a radiograph to the service and ends it with SIGTERM.
#
#   docker/try.sh FOLDER [RADIOGRAPH]
set -euo pipefail
root=$(realpath "${1:?the folder that docker/build.sh made}")
radiograph=$(realpath "${2:-$(dirname "$0")/../docs/phantom.png}")
port=${PORT:-8000}

# Has its own mounts and processes, which end with it.
unshare --mount --pid --fork --kill-child bash -euc '
    mount --bind "$0" "$0"
    mount -t proc proc "$0/proc"
    mount --rbind /dev "$0/dev"
    mount -t tmpfs -o size=64m,mode=1777 tmpfs "$0/tmp"
    mount -o remount,bind,ro "$0"
    exec chroot --userspec=10001:10001 "$0" /usr/bin/env -i PATH=/opt/cxr/bin:/usr/bin:/bin HOME=/tmp \
        PYTHONDONTWRITEBYTECODE=1 CXR_HOST=127.0.0.1 CXR_PORT="$1" cxr-serve
' "$root" "$port" &
unshared=$!
# The service runs as another user, so it does not end with this script.
trap 'pkill -KILL --parent "$unshared" || kill -KILL "$unshared" 2>/dev/null || true' EXIT

# The same command as the image's HEALTHCHECK.
until chroot "$root" /usr/bin/env PATH=/opt/cxr/bin:/usr/bin:/bin CXR_PORT="$port" cxr-health 2>/dev/null; do
    kill -0 "$unshared" || exit 1
    sleep 0.5
done
service=$(pgrep --parent "$unshared")
echo "healthy, as user $(awk '/^Uid/ { print $2 }' "/proc/$service/status")," \
    "root mounted $(awk '$5 == "/" { split($6, options, ","); print options[1] }' "/proc/$service/mountinfo")"
curl --fail --silent --show-error --form "file=@$radiograph" "http://127.0.0.1:$port/score?overlay=false"
echo
kill -TERM "$service"
wait "$unshared"
echo "ended in order by SIGTERM"

#!/usr/bin/env bash
# Runs a root file system from docker/build.sh as its container would run: read-only, as its user, with /tmp in memory.
# Needs root, but no container engine.
#
#   docker/try.sh FOLDER [RADIOGRAPH]
#
# Starts the service, which runs its self-test, posts a radiograph to it, ends it with SIGTERM, and then decodes mutated
# files with the image's Python and decoders. Fails where one of these does.
#
#   PORT    of the service (default 8000)
#   FILES   number of mutated files (default 2000)
set -euo pipefail
source=$(realpath "$(dirname "$0")/..")
root=$(realpath "${1:?the folder that docker/build.sh made}")
radiograph=$(realpath "${2:-$source/docs/phantom.png}")
port=${PORT:-8000}

# Becomes a command of the image, with mounts and processes of its own, which end with it. What makes the mutated files
# is not in the image: it lies under /tmp.
inside() {
    exec unshare --mount --pid --fork --kill-child bash -euc '
        root=$1 source=$2
        shift 2
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs -o size=64m,mode=1777 tmpfs "$root/tmp"
        for folder in benchmarks tests; do
            mkdir -p "$root/tmp/source/$folder"
            mount --bind -o ro "$source/$folder" "$root/tmp/source/$folder"
        done
        mount -o remount,bind,ro "$root"
        exec chroot --userspec=10001:10001 "$root" /usr/bin/env -i PATH=/opt/cxr/bin:/usr/bin:/bin HOME=/tmp \
            PYTHONDONTWRITEBYTECODE=1 CXR_HOST=127.0.0.1 "$@"
    ' inside "$root" "$source" "$@"
}

inside CXR_PORT="$port" cxr-serve &
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
trap - EXIT
echo "ended in order by SIGTERM"

# In its own process, which it becomes.
(inside PYTHONPATH=/tmp/source python -m benchmarks.robustness.fuzz --count "${FILES:-2000}" --folder /tmp/fuzz)

#!/usr/bin/env bash
# Builds the image on a Debian machine without a container engine or a registry of images, as root:
#
#   apt-get install buildah debootstrap
#   docker/build.sh cpu [FOLDER]     # or cuda; about 20 GB of disk for cuda
#
# and leaves its root file system in FOLDER (default build/image-cpu). Its size is the last line.
#
#   BASE        an image to start from instead of a debootstrapped Debian
#   MIRROR      Debian mirror (default http://deb.debian.org/debian); its security updates are at $MIRROR-security
#   WHEELS      a folder of wheels that pip may use; the locked hashes apply to them too
#   CA_BUNDLE   certificates that pip trusts, where the network is reached through a proxy with its own certificate
set -euo pipefail
cd "$(dirname "$0")/.."
variant=${1:?cpu or cuda}
folder=${2:-build/image-$variant}
mirror=${MIRROR:-http://deb.debian.org/debian}
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs

base=${BASE:-}
if [ -z "$base" ]; then
    base=localhost/trixie
    if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
        trixie=$(mktemp -d)
        debootstrap --variant=minbase trixie "$trixie" "$mirror"
        # As in Debian's own image: with what was corrected since the release.
        printf 'deb %s main\n' "$mirror trixie" "$mirror trixie-updates" "$mirror-security trixie-security" \
            >"$trixie/etc/apt/sources.list"
        rm -r "$trixie"/var/cache/apt/archives/*.deb "$trixie"/var/lib/apt/lists
        container=$(buildah from scratch)
        buildah add --quiet "$container" "$trixie" /
        buildah commit --quiet --rm "$container" "$base"
        rm -rf "$trixie"
    fi
fi

# How this machine reaches its package index, if in a special way; used only for the build, not part of the image.
settings=$(mktemp -d)
trap 'rm -rf "$settings"' EXIT
volumes=(--volume "$settings/pip.conf:/etc/pip.conf:ro")
echo "[global]" >"$settings/pip.conf"
if [ -n "${WHEELS:-}" ]; then
    volumes+=(--volume "$(realpath "$WHEELS"):/wheels:ro")
    echo "find-links = /wheels" >>"$settings/pip.conf"
fi
if [ -n "${CA_BUNDLE:-}" ]; then
    volumes+=(--volume "$(realpath "$CA_BUNDLE"):/ca.crt:ro")
    echo "cert = /ca.crt" >>"$settings/pip.conf"
fi

# One layer per stage, as with vfs each layer is a complete copy.
buildah build --layers=false --format docker --file docker/Dockerfile --tag "cxr-severity:$variant" \
    --build-arg BASE="$base" --build-arg VARIANT="$variant" --build-arg CXR_COMMIT="$(git rev-parse HEAD)" "${volumes[@]}" .

container=$(buildah from --pull-never "cxr-severity:$variant")
mkdir -p "$(dirname "$folder")"
rm -rf "$folder"
cp --archive --reflink=auto "$(buildah mount "$container")" "$folder"
buildah unmount "$container" >/dev/null
buildah rm "$container" >/dev/null
echo "$folder: $(du --summarize --block-size=MB "$folder" | cut -f1)"

#!/usr/bin/env bash
# docker/requirements-cuda.txt and -cpu.txt: what the images install, from constraints.txt, each file with its SHA-256.
#
#   docker/lock.sh BIN      # the folder of an environment's programs
#
# The CPU builds of torch and torchvision are on an index of their own: their versions and SHA-256 (for CPython 3.11 on
# x86-64) stand here. Everything else is the same in both images.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${1:?the folder of an environment\'s programs}
torch_cpu=2.13.0
torch_cpu_sha256=6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
torchvision_cpu=0.28.0
torchvision_cpu_sha256=1dad604dfc0177ecebe0891bd9701fe2c62ec3f7819a247be541b3fb6effee99

"$bin/pip" install --quiet 'uv>=0.9'
# setuptools builds our own wheel, and torch needs it as well.
compile() {
    "$bin/uv" pip compile --quiet --no-header --no-annotate --generate-hashes --only-binary :all: --python-version 3.11 \
        --python-platform x86_64-manylinux_2_28 --default-index https://pypi.org/simple \
        --constraint "$1" pyproject.toml - <<<'setuptools>=77'
}
header='# What the image installs; written by docker/lock.sh.'

{
    echo "$header"
    compile constraints.txt
} >docker/requirements-cuda.txt

without_torch=$(mktemp)
trap 'rm -f "$without_torch"' EXIT
grep -v -E '^(torch|torchvision|triton|nvidia-|cuda-)' constraints.txt >"$without_torch"
printf 'torch==%s\ntorchvision==%s\n' "$torch_cpu" "$torchvision_cpu" >>"$without_torch"
{
    echo "$header"
    # The same without CUDA: the two give way to their CPU builds, what only the CUDA builds need goes.
    compile "$without_torch" | awk '/^[a-z]/ { kept = !/^(torch==|torchvision==|triton==|nvidia-|cuda-)/ } kept'
    printf 'torch==%s+cpu --hash=sha256:%s\n' "$torch_cpu" "$torch_cpu_sha256"
    printf 'torchvision==%s+cpu --hash=sha256:%s\n' "$torchvision_cpu" "$torchvision_cpu_sha256"
} >docker/requirements-cpu.txt

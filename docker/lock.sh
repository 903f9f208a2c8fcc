#!/usr/bin/env bash
# docker/requirements-cuda.txt and -cpu.txt: what the images install, from constraints.txt, each file with its SHA-256.
#
#   docker/lock.sh BIN      # the folder of an environment's programs
#
# torch's CPU build is on an index of its own and older than the CUDA build where that index is behind: its version and its
# SHA-256 stand here. Everything but torch and torchvision is the same in both images.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${1:?the folder of an environment\'s programs}
torch_cpu=2.13.0
torch_cpu_sha256=6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
torchvision_cpu=0.28.0

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
    # The same without CUDA: torch's entry gives way to its CPU build, what only its CUDA build needs goes.
    compile "$without_torch" | awk '/^[a-z]/ { kept = !/^(torch==|triton==|nvidia-|cuda-)/ } kept'
    printf 'torch==%s+cpu --hash=sha256:%s\n' "$torch_cpu" "$torch_cpu_sha256"
} >docker/requirements-cpu.txt

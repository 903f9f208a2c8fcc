#!/usr/bin/env bash
# Writes docker/requirements-cuda.txt and -cpu.txt: what the images install, from constraints.txt, with SHA-256 hashes.
#
#   docker/lock.sh BIN      # the folder of an environment's programs
#
# Only the image for GPUs has PyTorch: on a CPU OpenVINO runs the embedded networks, which are shipped converted.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${1:?the folder of an environment\'s programs}

"$bin/pip" install --quiet 'uv>=0.9'
lock() {
    echo '# What the image installs; written by docker/lock.sh.'
    # setuptools builds our own wheel, and torch needs it as well.
    "$bin/uv" pip compile --quiet --no-header --no-annotate --generate-hashes --only-binary :all: --python-version 3.11 \
        --python-platform x86_64-manylinux_2_28 --default-index https://pypi.org/simple \
        --constraint constraints.txt "$@" pyproject.toml - <<<'setuptools>=77'
}
lock >docker/requirements-cpu.txt
lock --extra torch >docker/requirements-cuda.txt

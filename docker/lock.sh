#!/usr/bin/env bash
# Writes docker/requirements-cuda.txt and -cpu.txt, what the images install, and -bom.txt, what lists it: from
# constraints.txt, with SHA-256 hashes.
#
#   docker/lock.sh BIN      # the folder of an environment's programs, of Python 3.11
#
# Only the image for GPUs has PyTorch: on a CPU OpenVINO runs the embedded networks, which are shipped converted.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${1:?the folder of an environment\'s programs}

# Tests run on Python 3.11 and later, the images have 3.13. constraints.txt has one version of each package for all,
# except for these: decoders of hostile files, whose newer releases have no wheels for 3.11. The images get the newest.
newer=(imagecodecs)
"$bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed")'
for name in "${newer[@]}"; do
    sed -i -E -e "/^$name==.*>=/d" -e "s/^($name==[^; ]+).*/\1; python_version < \"3.12\"/" constraints.txt
done

"$bin/pip" install --quiet 'uv>=0.9'
lock() {
    echo '# Written by docker/lock.sh.'
    "$bin/uv" pip compile --quiet --no-header --no-annotate --generate-hashes --only-binary :all: --python-version 3.13 \
        --python-platform x86_64-manylinux_2_28 --default-index https://pypi.org/simple --constraint constraints.txt "$@"
}
# setuptools builds our own wheel, and torch needs it as well.
lock --extra tracing pyproject.toml - <<<'setuptools>=77' >docker/requirements-cpu.txt
lock --extra torch --extra tracing pyproject.toml - <<<'setuptools>=77' >docker/requirements-cuda.txt
lock - <<<$'cyclonedx-python-lib\njsonschema' >docker/requirements-bom.txt

for name in "${newer[@]}"; do
    locked=$(grep -o "^$name==[^ ]*" docker/requirements-cpu.txt)
    sed -i "/^$name==/a $locked; python_version >= \"3.12\"  # no wheel for 3.11" constraints.txt
done

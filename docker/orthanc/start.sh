#!/bin/sh
# Sets the variables that orthanc.json refers to, and runs Orthanc in the foreground.
#
#   CXR_PACS_AET         own AE title (default CXRSEVERITY); calls to another title are refused
#   CXR_PACS_PEERS       who may store, query and retrieve, and their addresses, as JSON:
#                        {"pacs": ["PACS", "192.0.2.10", 104]} (default: none; then anyone who reaches the port may
#                        store, and nobody may query)
#   CXR_PACS_CHECK_HOST  whether a peer also has to connect from its address (default true)
#   CXR_PACS_PASSWORD    of the user `edge` of Orthanc's web page, REST API and DICOMweb (default: a random one that
#                        nobody knows)
#   CXR_PACS_TLS_DIR     if tls.crt, tls.key and trusted.crt are in there, DICOM runs only over TLS, and only with peers
#                        whose certificate is among the trusted ones
#   CXR_PACS_DATA        the folder of the database and the files (default /var/lib/orthanc/edge)
#   CXR_PACS_DICOM_PORT, CXR_PACS_HTTP_PORT  4242 and 8042
#
# edge.py reads the others.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export EDGE_SCRIPT="$here/edge.py"
python=${CXR_PACS_PYTHON_PLUGIN:-/usr/share/orthanc/plugins/libOrthancPython.so}
dicomweb=$(dirname "$python")/libOrthancDicomWeb.so
export EDGE_PLUGINS="\"$python\""
# Orthanc does not start with a plugin that is not there.
if [ -e "$dicomweb" ]; then
    EDGE_PLUGINS="$EDGE_PLUGINS, \"$dicomweb\""
else
    echo "cxr-edge: no DICOMweb, as $dicomweb (orthanc-dicomweb) is not installed" >&2
fi
export EDGE_DATA="${CXR_PACS_DATA:-/var/lib/orthanc/edge}"
export EDGE_AET="${CXR_PACS_AET:-CXRSEVERITY}"
export EDGE_DICOM_PORT="${CXR_PACS_DICOM_PORT:-4242}" EDGE_HTTP_PORT="${CXR_PACS_HTTP_PORT:-8042}"
export EDGE_CHECK_HOST="${CXR_PACS_CHECK_HOST:-true}"
export EDGE_PEERS="${CXR_PACS_PEERS:-}" EDGE_ANYONE_STORES=false
if [ -z "$EDGE_PEERS" ]; then
    EDGE_PEERS='{}' EDGE_ANYONE_STORES=true
fi
tls=${CXR_PACS_TLS_DIR:-/etc/edge-tls}
export EDGE_TLS='"DicomTlsEnabled": false'
if [ -s "$tls/tls.crt" ]; then
    EDGE_TLS="\"DicomTlsEnabled\": true, \"DicomTlsRemoteCertificateRequired\": true,
        \"DicomTlsCertificate\": \"$tls/tls.crt\", \"DicomTlsPrivateKey\": \"$tls/tls.key\",
        \"DicomTlsTrustedCertificates\": \"$tls/trusted.crt\""
fi
export EDGE_PASSWORD="${CXR_PACS_PASSWORD:-$(head -c 32 /dev/urandom | base64)}"
mkdir -p "$EDGE_DATA"
# No bytecode can be written beside the script, as its folder is read-only.
export PYTHONDONTWRITEBYTECODE=1
exec Orthanc "$here/orthanc.json"

#!/bin/sh
# Writes the configuration that depends on the environment, and runs nginx in the foreground.
#
#   REPLICAS       host:port of each replica, separated by spaces; a name may stand for several addresses
#   CANARY         host:port of each replica of another version, and CANARY_SHARE, the percentage of requests that it is
#                  asked first (default 5); what fails there is asked of REPLICAS
#   SHADOW         host:port of each replica that gets a copy of what REPLICAS are asked, and whose answers nobody gets
#   RESOLVER       a name server (in Docker 127.0.0.11; needs nginx 1.27.3 or later): names are looked up again as
#                  replicas come and go; empty: only once, at start
#   CXR_MAX_UPLOAD_MB      as for the service (default 64); bodies may be 1 MiB larger, for a form's own lines
#   CXR_REQUEST_TIMEOUT_S  as for the service (default 30)
#   READ_TIMEOUT   how long a replica may take (default: 5 s over CXR_REQUEST_TIMEOUT_S)
#   FAIL_TIMEOUT   how long a replica that failed gets no requests (default 2s)
#   PORT, TLS_PORT where to listen (8080, 8443); with TLS_DIR/tls.crt and tls.key PORT only redirects
#                  with clients.crt, too, only clients with a certificate of these authorities get in
#   SERVICE_KEY    needed with clients.crt: the gateway's own key, whose entry at the service ends with ;vouches
#   PER_CALLER     how many requests one certificate, key or address may have under way (default 64)
#   RUNBOOK        docs/operations.md, which is shown at /gateway/runbook (default /runbook.md)
#   WORK           a folder that this script may write to (default /tmp/gateway)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
: "${REPLICAS:?expected host:port of each replica}"
WORK=${WORK:-/tmp/gateway} PORT=${PORT:-8080} TLS_PORT=${TLS_PORT:-8443} TLS_DIR=${TLS_DIR:-/etc/gateway/tls}
FAIL_TIMEOUT=${FAIL_TIMEOUT:-2s}
# The settings may have decimals, which nginx does not accept.
max_body=$(awk "BEGIN { printf \"%d\", (${CXR_MAX_UPLOAD_MB:-64} + 1) * 1048576 }")
read_timeout=${READ_TIMEOUT:-$(awk "BEGIN { printf \"%dms\", (${CXR_REQUEST_TIMEOUT_S:-30} + 5) * 1000 }")}

mkdir -p "$WORK/generated" "$WORK/temporary"
cp "$here/nginx.conf" "$here/proxy.conf" "$WORK/"

# A body that fits its buffer is not written to a file; the buffer is as large as the declared length, up to this size.
cat >"$WORK/generated/limits.conf" <<EOF
client_max_body_size $max_body;
client_body_buffer_size $max_body;
proxy_read_timeout $read_timeout;
${RESOLVER:+resolver $RESOLVER valid=5s ipv6=off;}
EOF

echo "alias ${RUNBOOK:-/runbook.md};" >"$WORK/generated/runbook.conf"

echo "limit_conn askers ${PER_CALLER:-64};" >"$WORK/generated/per_caller.conf"

upstream() {
    echo "upstream $1 {"
    echo "    zone $1 128k;"
    echo "    least_conn;"
    for replica in $2; do
        echo "    server $replica $3${RESOLVER:+ resolve};"
    done
    # Shorter than the service keeps an idle connection, so that no connection is used while it is being closed.
    echo "    keepalive 32;"
    echo "    keepalive_timeout 4s;"
    echo "}"
}
{
    # Both have the same replicas; only the first sends nothing to a replica that has just failed.
    upstream replicas "$REPLICAS" "max_fails=1 fail_timeout=$FAIL_TIMEOUT"
    upstream any_replica "$REPLICAS" "max_fails=0"
    # Not a weight among the replicas: the share would change with the load and with how many there are.
    upstream canary "${CANARY:-$REPLICAS}" "max_fails=1 fail_timeout=$FAIL_TIMEOUT"
    echo 'split_clients $request_id $version {'
    echo "    ${CANARY:+${CANARY_SHARE:-5}% canary;}"
    echo '    * replicas;'
    echo '}'
} >"$WORK/generated/upstreams.conf"

: >"$WORK/generated/mirror.conf"
: >"$WORK/generated/shadow.conf"
if [ -n "${SHADOW:-}" ]; then
    rm -f "$WORK/shadow.sock"
    echo "mirror /gateway/shadow;" >"$WORK/generated/mirror.conf"
    {
        upstream shadow "$SHADOW" "max_fails=1 fail_timeout=$FAIL_TIMEOUT"
        # Copies that wait for the shadow are in memory: what comes beyond so many is dropped.
        cat <<EOF
upstream handover { server unix:$WORK/shadow.sock; }
limit_conn_zone copies zone=copies:32k;
server {
    listen unix:$WORK/shadow.sock;
    access_log off;
    limit_conn copies 16;
    location / {
        proxy_pass http://shadow;
        # Who handed the copy over has left.
        proxy_ignore_client_abort on;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host \$host;
        proxy_connect_timeout 1s;
        proxy_next_upstream off;
        proxy_max_temp_file_size 0;
    }
}
EOF
    } >"$WORK/generated/shadow.conf"
fi

if [ -s "$TLS_DIR/tls.crt" ] && [ -s "$TLS_DIR/tls.key" ]; then
    cat >"$WORK/generated/listen.conf" <<EOF
listen $TLS_PORT ssl;
ssl_certificate $TLS_DIR/tls.crt;
ssl_certificate_key $TLS_DIR/tls.key;
ssl_protocols TLSv1.2 TLSv1.3;
ssl_session_cache shared:tls:4m;
ssl_session_tickets off;
add_header Strict-Transport-Security "max-age=31536000" always;
EOF
    if [ -s "$TLS_DIR/clients.crt" ]; then
        : "${SERVICE_KEY:?expected the key with which the gateway names callers to the service}"
        cat >>"$WORK/generated/listen.conf" <<EOF
ssl_client_certificate $TLS_DIR/clients.crt;
ssl_verify_client on;
ssl_verify_depth 3;
EOF
    fi
    cat >"$WORK/generated/redirect.conf" <<EOF
server {
    listen $PORT;
    location = /gateway/health { access_log off; return 200 "ok\n"; }
    location / { return 308 https://\$host:$TLS_PORT\$request_uri; }
}
EOF
else
    echo "listen $PORT;" >"$WORK/generated/listen.conf"
    : >"$WORK/generated/redirect.conf"
fi

# The name in a certificate is passed on with the gateway's key, which alone makes the service believe it.
if [ -s "$TLS_DIR/tls.crt" ] && [ -s "$TLS_DIR/clients.crt" ]; then
    (
        umask 077
        cat >"$WORK/generated/identity.conf" <<EOF
proxy_set_header X-Caller \$name_in_certificate;
proxy_set_header X-API-Key "$SERVICE_KEY";
proxy_set_header Authorization "";
EOF
    )
else
    echo 'proxy_set_header X-Caller "";' >"$WORK/generated/identity.conf"
fi

exec nginx -p "$WORK/" -c nginx.conf -e stderr -g 'daemon off;'

#!/bin/sh
# Prints the lines of .env with which services show each other who they are: a new private key for each that calls others,
# and all public ones. Keys are the base64 bodies of PEM files.
set -eu

fail() {
    echo "service-keys: needs openssl 1.1.1 or newer, which can make Ed25519 keys." >&2
    exit 1
}

public_keys=
for service in audio catalog gateway; do
    private=$(openssl genpkey -algorithm ed25519 -outform DER 2>/dev/null | openssl base64 -A) || fail
    public=$(echo "$private" | openssl base64 -d -A | openssl pkey -inform DER -pubout -outform DER 2>/dev/null | openssl base64 -A) || fail
    [ -n "$private" ] && [ -n "$public" ] || fail
    echo "$(echo "$service" | tr '[:lower:]' '[:upper:]')_SERVICE_KEY=$private"
    public_keys="$public_keys${public_keys:+,}$service=$public"
done
echo "SERVICE_PUBLIC_KEYS=$public_keys"

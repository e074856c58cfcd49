#!/bin/sh
# Writes .env from .env.example: every empty value below the line "--- Secrets" becomes 32 random bytes in hexadecimal, those
# of service keys what deploy/service-keys.sh makes.
# The file is for its owner's eyes only, and one that exists is never touched: it holds the only copy of the secrets.
set -eu
cd "$(dirname "$0")/.."
umask 077

random() {
    od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n'
}

filled() {
    secrets=no
    while IFS= read -r line; do
        case $line in "# --- Secrets"*) secrets=yes ;; esac
        case $secrets$line in
        yes*_SERVICE_KEY= | yesSERVICE_PUBLIC_KEYS=) echo "$keys" | grep "^$line" ;;
        yes[A-Z]*=) echo "$line$(random)" ;;
        *) echo "$line" ;;
        esac
    done <.env.example
}

keys=$(sh deploy/service-keys.sh)
content=$(filled)
if ! (set -o noclobber && printf '%s\n' "$content" >.env) 2>/dev/null; then
    echo "make-env: .env exists already, or this folder cannot be written to; nothing was changed." >&2
    exit 1
fi
echo "Wrote .env with new secrets. Keep a copy in a safe place: the volumes can only be opened with them."

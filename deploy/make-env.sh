#!/bin/sh
# Writes .env from .env.example: every empty value below the line "--- Secrets" becomes 32 random bytes in hexadecimal, those
# of service keys what deploy/service-keys.sh makes.
# The file is for its owner's eyes only, and nothing that stands in it is ever touched: it holds the only copy of the secrets.
# `sh deploy/make-env.sh --missing` adds to it what a newer release knows and it lacks.
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

# Of $content, what .env does not set. Keys of services fit together: where there are some, one more is for a person to make.
lacking() {
    printf '%s\n' "$content" | while IFS= read -r line; do
        name=${line%%=*}
        case $line in
        *_SERVICE_KEY=*) grep -q "^$name=" .env || grep -q '^SERVICE_PUBLIC_KEYS=.' .env || printf '%s\n' "$line" ;;
        [A-Z]*=*) grep -q "^$name=" .env || printf '%s\n' "$line" ;;
        esac
    done
}

keys=$(sh deploy/service-keys.sh)
content=$(filled)
case ${1-} in
"") ;;
--missing)
    if ! [ -w .env ]; then
        echo "make-env: there is no .env here that can be written to." >&2
        exit 1
    fi
    added=$(lacking)
    if [ -z "$added" ]; then
        echo "Nothing is missing in .env."
        exit 0
    fi
    printf '\n# --- Added by make-env.sh --missing\n%s\n' "$added" >>.env
    echo "Added to .env:" $(printf '%s\n' "$added" | cut -d= -f1)
    exit 0
    ;;
*)
    echo "make-env: sh deploy/make-env.sh [--missing]" >&2
    exit 2
    ;;
esac
if ! (set -o noclobber && printf '%s\n' "$content" >.env) 2>/dev/null; then
    echo "make-env: .env exists already, or this folder cannot be written to; nothing was changed." >&2
    echo "make-env: for what a newer release needs besides: sh deploy/make-env.sh --missing" >&2
    exit 1
fi
echo "Wrote .env with new secrets. Keep a copy in a safe place: the volumes can only be opened with them."

#!/bin/sh
# Makes the broker's queues, exchanges and users (broker/*.json, which the code writes), with passwords from .env: run at every
# start, so a new release gets its queues on old volumes too, and a changed password takes effect. Permissions come last: whoever
# is let in finds everything there.
set -eu

# The file with each @NAME@ replaced by the variable of that name.
filled() {
    while IFS= read -r line; do
        case $line in
        *'"@'*'@"'*)
            name=${line#*\"@}
            name=${name%%@\"*}
            eval "value=\${$name:?run deploy/make-env.sh}"
            case $value in
            *[!A-Za-z0-9]*)
                echo "broker: $name may have letters and digits only: it is part of a URL" >&2
                exit 1
                ;;
            esac
            printf '%s"%s"%s\n' "${line%%\"@*}" "$value" "${line##*@\"}"
            ;;
        *) printf '%s\n' "$line" ;;
        esac
    done <"$1"
}

for file in "$(dirname "$0")"/broker/*.json; do
    content=$(filled "$file")
    printf '%s\n' "$content" | rabbitmqctl --quiet import_definitions
done

#!/bin/sh
# Makes each service's database and its roles (database.sql), or brings them in line with .env: run at every start, so a new
# service gets its database on old volumes too, old ones get new roles, and a changed password takes effect.
set -eu

for service in auth catalog audio notifier; do
    prefix=$(echo "$service" | tr '[:lower:]' '[:upper:]')
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname postgres \
        --set owner="yousync_$service" --set service="yousync_${service}_service" --set operator=yousync_operator \
        --file - <<SQL
\getenv owner_password ${prefix}_OWNER_PASSWORD
\getenv service_password ${prefix}_DATABASE_PASSWORD
\getenv operator_password OPERATOR_DATABASE_PASSWORD
\include '$(dirname "$0")/database.sql'
SQL
done

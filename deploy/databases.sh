#!/bin/sh
# Makes each service's database and the role that owns it, or brings them in line with .env: run at every start, so a new
# service gets its database on old volumes too, and a changed password takes effect. A role can connect to its own database only.
set -eu

for service in auth catalog audio notifier; do
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname postgres --set name="yousync_$service" \
        --set variable="$(echo "$service" | tr '[:lower:]' '[:upper:]')_DATABASE_PASSWORD" <<'SQL'
\getenv password :variable
SELECT format('CREATE ROLE %I', :'name') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \gexec
ALTER ROLE :"name" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'name')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
REVOKE ALL ON DATABASE :"name", postgres, template1 FROM PUBLIC;
SQL
done

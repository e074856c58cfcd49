-- One service's database and its roles, for psql: made, or brought in line when they are there. Whoever runs it is a superuser.
--   :owner     has the name of the database; owns it and all that migrations make. For migrations alone.
--   :service   runs the service. What it may do with each table the migrations say (libs/common/table_rights.py).
--   :operator  looks, for `yousync trace` and `yousync audit`; the same in all databases.
SELECT format('CREATE ROLE %I', role) FROM unnest(ARRAY[:'owner', :'service', :'operator']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

ALTER ROLE :"owner" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'owner_password';
-- Connections: a pool of 20 and those that last, twice while a new version replaces an old one. Four services leave some of 200.
ALTER ROLE :"service" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 46
    PASSWORD :'service_password';
-- A transaction waits for nobody but the database: whoever holds one open for so long hangs, and others wait for its locks.
ALTER ROLE :"service" SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE :"operator" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 12
    PASSWORD :'operator_password';
ALTER ROLE :"operator" SET default_transaction_read_only = on;
GRANT pg_read_all_data TO :"operator";

SELECT format('CREATE DATABASE %I OWNER %I', :'owner', :'owner')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'owner') \gexec
-- Everybody could connect, and make temporary tables.
REVOKE ALL ON DATABASE :"owner", postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE :"owner" TO :"service", :"operator";

#!/bin/sh
# Start the tracking server with passwords switched on. Secrets come from the environment and are written to a private
# file only, because MLflow's auth reads its database from one.
set -eu
umask 077
: "${POSTGRES_PASSWORD:?}" "${MLFLOW_AUTH_ADMIN_PASSWORD:?}" "${MLFLOW_FLASK_SERVER_SECRET_KEY:?}"
database="postgresql+psycopg2://mlflow:${POSTGRES_PASSWORD}@${POSTGRES_HOST:-postgres}:${POSTGRES_PORT:-5432}"
cat > auth.ini <<INI
[mlflow]
default_permission = EDIT
database_uri = ${database}/mlflow_auth
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
grant_default_workspace_access = false
# Checking a password costs tenths of a second of CPU; without the cache every heartbeat of every run pays it.
auth_cache_ttl_seconds = 60
INI
export MLFLOW_AUTH_CONFIG_PATH="$PWD/auth.ini"
export MLFLOW_BACKEND_STORE_URI="${database}/mlflow"
export MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
# One worker: more than one adds 40 ms to every call (uvicorn issue 3149).
exec mlflow server --app-name basic-auth --host 0.0.0.0 --port "${PORT:-5000}" --workers 1 \
    --artifacts-destination "${ARTIFACTS:-s3://mlflow}" \
    --allowed-hosts "${ALLOWED_HOSTS:-mlflow:5000,localhost:5000}"

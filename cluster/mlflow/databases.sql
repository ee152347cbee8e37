-- Run once by PostgreSQL's image when its volume is empty: the server's passwords have a database of their own.
CREATE DATABASE mlflow_auth OWNER mlflow;

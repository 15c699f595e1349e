#!/bin/sh
# Make secrets, in files of a new folder: secrets.sh FOLDER
set -eu
umask 077
mkdir "$1"
cd "$1"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

random >pamps_password
random >replication_password
random >postgres_password
cat >patroni.env <<ENV
PATRONI_REPLICATION_PASSWORD=$(cat replication_password)
PATRONI_REWIND_PASSWORD=$(random)
ENV
printf '"pamps" "%s"\n' "$(cat pamps_password)" >userlist.txt
cat >secrets.toml <<TOML
[production.security]
SECRET_KEY = "$(random)$(random)"

[production.db]
connect_args = { password = "$(cat pamps_password)" }
TOML
# Containers run as other users, and get single files. The folder is closed to all others.
chmod 444 ./*

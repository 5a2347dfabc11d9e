# shellcheck shell=bash disable=SC2154
# Named, timed steps: starts them, stops at the first failure, prints the table at the end. Sourced by scripts/test;
# knows nothing of what a step does.
#
# A step called `a-b` is the function `check_a_b`. It calls `run COMMAND...` for everything that may fail, `skip WHY` when it
# cannot do its work here, and `note TEXT` for what a reader of the summary should know.

table=""      # one line a finished step: result, seconds, name, remark
step_name=""  # the step that is running, empty between two
step_start=0 step_cpu=0 cpu=0
cpu_file="$(mktemp)"
step_remark=""
step_skipped=""
passed=0 failed=0 skipped=0

step() {
  step_name="$1" step_start=$SECONDS step_remark="" step_skipped=""
  measure_cpu
  step_cpu=$cpu
  printf '\n=== %s\n' "$step_name"
  "check_$(echo "$step_name" | tr - _)"
  if [ -n "$step_skipped" ]; then
    finish skipped
  else
    finish passed
  fi
}

# Runs a command, shown as it could be typed; its failure ends everything.
run() {
  local shown status=0
  shown="$(printf ' %q' "$@")"
  printf '+%s\n' "$shown"
  "$@" || status=$?
  [ "$status" -eq 0 ] || fail "exit status $status" "${shown# }"
}

# The same without the command's standard output.
run_quietly() { run "$@" >/dev/null; }

# Ends everything. The second argument is the command to repeat, if one command alone failed.
fail() {
  finish failed
  {
    printf '\n%s failed: %s\n' "$step_failed" "$1"
    printf 'to repeat the step:    scripts/test %s\n' "$step_failed"
    [ -z "${2:-}" ] || printf 'to repeat the command: cd %q && %s\n' "$PWD" "$2"
  } >&2
  exit 1
}

skip() {
  step_skipped="$1"
  printf 'skipped: %s\n' "$1"
  [ "${CI:-}" != true ] || fail "with CI=true nothing may be skipped; missing: $1"
}

note() {
  step_remark="${step_remark:+$step_remark; }$1"
  printf 'note: %s\n' "$1"
}

finish() {
  local remark="${step_skipped:+$step_skipped; }$step_remark"
  measure_cpu
  table="$table$(printf '%-8s %4d s  %4d s  %-12s %s' "$1" $((SECONDS - step_start)) \
    $((cpu - step_cpu)) "$step_name" "${remark%; }")
"
  case "$1" in
    passed) passed=$((passed + 1)) ;;
    failed) failed=$((failed + 1)) step_failed="$step_name" ;;
    skipped) skipped=$((skipped + 1)) ;;
  esac
  step_name=""
}

# Sets cpu to the seconds of processor time that finished commands took: unlike the clock it says the same on a busy machine.
measure_cpu() {
  local line
  # A file, as in a subshell `times` would begin anew. Its second line is the children's: 12m3.456s 0m7.890s.
  times >"$cpu_file"
  line="$(sed -n '2s/^\([0-9]*\)m\([0-9]*\)[^ ]* \([0-9]*\)m\([0-9]*\).*/(\1 + \3) * 60 + \2 + \4/p' "$cpu_file")"
  cpu=$((line))
}

# Runs at the exit of the script, whatever ended it.
summary() {
  local status=$?
  # Interrupted in the middle of a step.
  [ -z "$step_name" ] || finish failed
  measure_cpu
  printf '\n%-8s %6s  %6s\n%s' result clock CPU "$table"
  printf '%13d s  %4d s  in all\n' "$SECONDS" "$cpu"
  rm -f "$cpu_file"
  printf 'steps: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  exit "$status"
}

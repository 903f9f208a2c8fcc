# Compares the scores of the replicas in use and of a shadow, by request id and SHA-256 of the radiograph:
#
#   jq -nr --rawfile old OLD.log --rawfile new SHADOW.log -f docker/gateway/compare.jq
#
# Both are logs of the service; that of several replicas is one file after the other.

# The last score of each radiograph; /compare logs two at once. What was refused has none.
def scores:
  [split("\n")[] | fromjson? | select(.message? == "answered" and has("score")) as $line
    | [[$line.sha256], [$line.score]] | map(flatten) | transpose[]
    | {id: $line.request_id, sha256: .[0], score: .[1]}]
  | INDEX("\(.id) \(.sha256)");

def difference:
  if .old == .new then "equal"
  elif .old == null or .new == null then "a score from one only"
  elif .old - .new | fabs == 1 then "differ by one"
  else "differ by more" end;

($old | scores) as $old | ($new | scores) as $new
| [$new | to_entries[] | select($old[.key]) | {id: .value.id, old: $old[.key].score, new: .value.score}
    | .difference = difference] as $both
| def of($kind): [$both[] | select(.difference == $kind)];
  "answered by both: \($both | length)",
  (("equal", "differ by one", "differ by more", "a score from one only") | "\(.): \(of(.) | length)"),
  "answered by the old only: \(($old | length) - ($both | length))",
  "answered by the new only: \(($new | length) - ($both | length))",
  ($both[] | select(.difference != "equal") | "\(.id)\told \(.old)\tnew \(.new)")

#!/usr/bin/env bash
# The last job of drift.yml: opens an issue for each lane that failed, or adds to the one that is open, and closes that
# of a lane that passes again. GH_REPO is the repository, RUN the number of this run.
set -euo pipefail
gh api --paginate "repos/$GH_REPO/actions/runs/$RUN/jobs" --jq '.jobs[] | select(.conclusion) | [.conclusion, .html_url, .name] | @tsv' |
  while IFS=$'\t' read -r conclusion page lane; do
    title="Weekly check: $lane"
    number=$(gh issue list --state open --limit 500 --json number,title --jq ".[] | select(.title == \"$title\") | .number")
    case $conclusion:$number in
      failure: | timed_out: | cancelled:) gh issue create --title "$title" --body "This lane of drift.yml failed: $page" ;;
      failure:* | timed_out:* | cancelled:*) gh issue comment "$number" --body "Failed again: $page" ;;
      success:?*) gh issue close "$number" --comment "Passed: $page" ;;
    esac
  done

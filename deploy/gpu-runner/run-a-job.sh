#!/usr/bin/env bash
# Registers a runner for one job of OWNER/REPOSITORY, waits for the job, runs it, and leaves nothing behind.
#
#   deploy/gpu-runner/run-a-job.sh OWNER/REPOSITORY
#
# gh must be logged in as somebody who administers the repository. Its token stays on this machine: the container gets
# a configuration that registers one runner, once.
set -euo pipefail
repository=${1:?say for which repository: OWNER/NAME}
ACTIONS_RUNNER_INPUT_JITCONFIG=$(
  gh api --method POST "repos/$repository/actions/runners/generate-jitconfig" --jq .encoded_jit_config \
    -f "name=gpu-$(hostname)-$(date +%s)" -F runner_group_id=1 \
    -f 'labels[]=self-hosted' -f 'labels[]=linux' -f 'labels[]=gpu'
)
export ACTIONS_RUNNER_INPUT_JITCONFIG
exec docker run --rm --gpus all --cpus 8 --memory 32g --shm-size 2g --pids-limit 4096 \
  --security-opt no-new-privileges --cap-drop ALL \
  --env ACTIONS_RUNNER_INPUT_JITCONFIG course-gpu-runner ./run.sh

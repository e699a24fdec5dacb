# What every Ray node of a cluster needs in its environment; sourced by head.sh and node.sh.
# The token is shared by all nodes and by whoever submits work: copy the file, keep its mode 0600.
export RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN_PATH="${RAY_AUTH_TOKEN_PATH:?the path of the cluster's token, a file of mode 0600}"
export RAY_USAGE_STATS_ENABLED=0 DO_NOT_TRACK=1
export RAY_ENABLE_UV_RUN_RUNTIME_ENV=0
export RAY_task_oom_retries=1
export HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_XET=1
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

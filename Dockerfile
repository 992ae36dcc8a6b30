# docker build --build-arg DEVICE=cpu --tag rl-fn .        DEVICE is cpu, gpu or tpu
# docker run --volume "$PWD/runs:/runs" rl-fn train --hparams ppo_cartpole --output_dir /runs/ppo
FROM python:3.12-slim

# KubeRay asks with wget whether a pod is well.
RUN apt-get update && apt-get install --yes --no-install-recommends wget && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 rl && mkdir /runs && chown rl /runs

WORKDIR /rl_fn
COPY pyproject.toml constraints.txt constraints-tpu.txt README.md LICENSE ./
COPY rl_fn rl_fn

ARG DEVICE=cpu
ARG EXTRAS=storage,workers
# The TensorFlow for TPUs is a package of another name, and what depends on `tensorflow` would bring the plain one.
RUN case "$DEVICE" in \
      cpu) pip install --no-cache-dir --constraint constraints.txt ".[$EXTRAS]" "ray[default]" ;; \
      gpu) pip install --no-cache-dir --constraint constraints.txt ".[$EXTRAS]" "ray[default]" "tensorflow[and-cuda]" ;; \
      tpu) pip install --no-cache-dir --no-deps --requirement constraints-tpu.txt . \
           && python -c "import sys; from rl_fn.systems import packing; print(*packing.of_extras(sys.argv[1].split(',')), sep='\n')" \
                "$EXTRAS" > /tmp/extras.txt \
           && pip install --no-cache-dir --constraint constraints-tpu.txt --requirement /tmp/extras.txt "ray[default]" ;; \
      *) echo "DEVICE is $DEVICE, expected cpu, gpu or tpu" >&2; exit 2 ;; \
    esac

USER rl
WORKDIR /home/rl
ENTRYPOINT ["rl-fn"]
CMD ["--help"]

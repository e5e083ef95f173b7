# SaySee in four images from one file: the steps are those of the Makefile, run as a user without rights.
#   docker build -t saysee .                          serve-cpu, the default: service, indexer, scenes and voices; no torch
#   docker build -t saysee:gpu --target serve-gpu .   the same on CUDA 12; the host brings the NVIDIA container toolkit
#   docker build -t saysee:milvus --target serve-milvus .   serve-cpu, and what vectors in Milvus need
#   docker build -t saysee:train --target train .     everything `python -m training` needs
# The service listens beyond its container: run it with SAYSEE_KEYS, or SAYSEE_NO_AUTH=true where all who reach it may read.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PATH=/opt/venv/bin:$PATH
RUN groupadd --gid 10001 saysee \
    && useradd --uid 10001 --gid saysee --create-home --shell /usr/sbin/nologin saysee
WORKDIR /srv/saysee

# Dependencies first, from the metadata alone: a change in the code does not install them again.
FROM base AS metadata
RUN python -m venv /opt/venv
COPY pyproject.toml constraints.txt LICENSE README.md ./

FROM metadata AS build-cpu
RUN python -m pip install --no-cache-dir --constraint constraints.txt '.[cpu,map,otel]'
COPY indexer indexer
COPY training training
COPY service service
RUN python -m pip install --no-cache-dir --no-deps .

FROM build-cpu AS build-milvus
RUN python -m pip install --no-cache-dir --constraint constraints.txt '.[cpu,map,milvus,otel]'

FROM metadata AS build-gpu
RUN python -m pip install --no-cache-dir --constraint constraints.txt '.[gpu,map,otel]'
COPY indexer indexer
COPY training training
COPY service service
RUN python -m pip install --no-cache-dir --no-deps .

FROM metadata AS build-train
RUN python -m pip install --no-cache-dir --constraint constraints.txt '.[cpu,train]'
COPY indexer indexer
COPY training training
COPY service service
RUN python -m pip install --no-cache-dir --no-deps .

FROM base AS runtime
RUN mkdir /index /work && chown saysee:saysee /index /work
COPY demo/bundle demo/bundle
USER 10001:10001

FROM runtime AS train
COPY --from=build-train /opt/venv /opt/venv
WORKDIR /work
VOLUME /work
ENTRYPOINT ["python", "-m"]
CMD ["training", "--help"]

FROM runtime AS serve
ENV SAYSEE_INDEX=/index \
    SAYSEE_HOST=0.0.0.0 \
    SAYSEE_PORT=8000 \
    SAYSEE_LOG_FORMAT=json
VOLUME /index
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['SAYSEE_PORT'] + '/readyz', timeout=2)"]
ENTRYPOINT ["python", "-m"]
CMD ["service"]

FROM serve AS serve-gpu
# The container toolkit reads these two; CUDA itself comes as wheels.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    SAYSEE_PROVIDER=cuda \
    SAYSEE_MAX_BATCH=32
COPY --from=build-gpu /opt/venv /opt/venv

FROM serve AS serve-milvus
COPY --from=build-milvus /opt/venv /opt/venv

# Last, so that it is what `docker build .` makes.
FROM serve AS serve-cpu
COPY --from=build-cpu /opt/venv /opt/venv

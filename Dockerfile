# kol-stream in a container: `docker build --tag kol-stream .`; docker-compose.yml builds it too.
#
# Build argument TORCH_INDEX: address of the package index that torch comes from. Without it pip's own index
# serves, whose Linux build brings CUDA, some 5 GB that this program does not use; pytorch.org names the index of
# the small build for CPUs.

FROM python:3.11-slim-bookworm AS base

FROM base AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/kol
ENV PATH=/opt/kol/bin:$PATH
WORKDIR /src
# What changes least comes first, so that a change of our own code installs nothing else anew.
COPY constraints.txt pyproject.toml ./
ARG TORCH_INDEX=""
# That index need not have the versions of torch's own dependencies: those come with the others.
RUN pip install --no-cache-dir ${TORCH_INDEX:+--no-deps --index-url "$TORCH_INDEX"} \
      --constraint constraints.txt torch
RUN python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
print(*project["dependencies"], sep="\n")' > requirements.txt \
 && pip install --no-cache-dir --constraint constraints.txt --requirement requirements.txt
COPY README.md LICENSE ./
COPY stream_app stream_app
RUN pip wheel --no-cache-dir --no-deps --wheel-dir dist . \
 && pip install --no-cache-dir --no-deps dist/*.whl \
 && pip check

FROM base
RUN groupadd --gid 10001 kol \
 && useradd --uid 10001 --gid kol --no-log-init --create-home --shell /usr/sbin/nologin kol \
 && install --directory --owner=kol --group=kol /var/lib/kol /var/cache/kol
COPY --from=build /opt/kol /opt/kol
# State, and what a hub encoder fetches; a volume laid over them takes over their owner.
ENV PATH=/opt/kol/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    KOL_DATA_DIR=/var/lib/kol \
    KOL_WEB_PORT=6066 \
    HF_HOME=/var/cache/kol
VOLUME ["/var/lib/kol"]
WORKDIR /home/kol
# By number, so that a cluster that forbids root can tell.
USER 10001:10001
EXPOSE 6066
STOPSIGNAL SIGTERM
# Alive, not ready: a supervisor that replaces unhealthy containers must not end a worker that is reading its state
# back. It listens once broker and model are there, which may take minutes. No curl in the image.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10m --retries=4 CMD ["python", "-c", "\
import http.client, os, sys; \
asked = http.client.HTTPConnection('127.0.0.1', int(os.environ['KOL_WEB_PORT']), timeout=4); \
asked.request('GET', '/healthz'); \
sys.exit(asked.getresponse().status != 200)"]
ENTRYPOINT ["kol"]
CMD ["worker"]

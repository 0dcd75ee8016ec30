# The service alone: no extras, no compiler, no pip; it needs DATABASE_URL, REDIS_URL and AUTHZ_ROOT_KEY to run.

FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/authz
COPY requirements-production.lock .
RUN /opt/authz/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes \
        -r requirements-production.lock
COPY pyproject.toml .
COPY authz_service authz_service
# setuptools is in the lock only to build this package, without fetching anything that has no hash.
RUN /opt/authz/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
    && /opt/authz/bin/pip uninstall --yes setuptools pip

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /srv/authz --shell /usr/sbin/nologin authz \
    && install --directory --owner authz /srv/authz/var
COPY --from=build /opt/authz /opt/authz
# `authz migrate` looks for the migrations where it is started.
WORKDIR /srv/authz
COPY alembic alembic
# --build-arg AUTHZ_REVISION=$(git rev-parse --short HEAD): what authz_build_info says of it.
ARG AUTHZ_REVISION=unknown
ENV PATH=/opt/authz/bin:$PATH PYTHONUNBUFFERED=1 AUTHZ_HOST=0.0.0.0 AUTHZ_METRICS_HOST=0.0.0.0 \
    AUTHZ_DATA_DIR=/srv/authz/var AUTHZ_REVISION=$AUTHZ_REVISION
USER authz
# The tills', and what Prometheus scrapes; publish the second to no other network.
EXPOSE 8000 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD \
    ["python", "-c", "import os; from urllib.request import urlopen; urlopen(f'http://127.0.0.1:{os.environ.get(\"AUTHZ_PORT\", 8000)}/readyz', timeout=2)"]
CMD ["authz", "serve"]

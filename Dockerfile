# storepulse in a container. By default worker and API together, on an embedded log (see docker-compose.yml for Kafka):
#
#   docker build -t storepulse .
#   docker run -p 127.0.0.1:8000:8000 -v storepulse:/var/lib/storepulse storepulse

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/storepulse
WORKDIR /build
# What changes least comes first: an edit of the source installs no dependency anew.
COPY requirements.lock ./
RUN /opt/storepulse/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY stream stream
COPY query_api query_api
COPY scripts scripts
RUN /opt/storepulse/bin/pip install --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/storepulse --create-home storepulse
COPY --from=build /opt/storepulse /opt/storepulse
ENV PATH=/opt/storepulse/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STOREPULSE_STATE=/var/lib/storepulse \
    STOREPULSE_HOST=0.0.0.0 \
    STOREPULSE_PORT=8000
USER storepulse
WORKDIR /var/lib/storepulse
EXPOSE 8000
# Of the API. What runs without one overrules it, as docker-compose.yml does.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-c", \
    "import http.client as h, os; c = h.HTTPConnection('127.0.0.1', int(os.environ['STOREPULSE_PORT']), timeout=4); c.request('GET', '/health/live'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["storepulse"]
CMD ["up"]

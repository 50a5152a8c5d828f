# One image for the gateway and the worker: `poe2gpt gateway`, `poe2gpt worker`.

FROM python:3.13-slim AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/poe2gpt
# The locked requirements first: they change less often than the source.
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN /build/bin/pip install --require-hashes -r requirements/build.txt \
 && /build/bin/pip --python /opt/poe2gpt/bin/python install --require-hashes -r requirements/runtime.txt
COPY . .
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /build/bin/pip --python /opt/poe2gpt/bin/python install --no-deps /wheel/*.whl

FROM python:3.13-slim
COPY --from=build /opt/poe2gpt /opt/poe2gpt
ENV PATH=/opt/poe2gpt/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["poe2gpt"]

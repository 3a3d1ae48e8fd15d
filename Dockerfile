# The image of s3sftp: docs/install.md. `podman build -t s3sftp .`, or `docker build -t s3sftp .`

ARG BASE_IMAGE=python:3.13-slim-bookworm

FROM ${BASE_IMAGE} AS build
# exec forms throughout: the base needs Python and pip, and no shell
WORKDIR /build
COPY requirements.lock deploy/image/build.lock ./
RUN ["python3", "-m", "venv", "--without-pip", "/tools"]
RUN ["python3", "-m", "pip", "--no-cache-dir", "--python", "/tools/bin/python3", "install", "--quiet", \
     "--require-hashes", "--only-binary", ":all:", "--requirement", "build.lock"]
RUN ["python3", "-m", "venv", "--without-pip", "/opt/s3sftp"]
RUN ["python3", "-m", "pip", "--no-cache-dir", "--python", "/opt/s3sftp/bin/python3", "install", "--quiet", \
     "--require-hashes", "--only-binary", ":all:", "--no-compile", "--no-deps", "--requirement", "requirements.lock"]
COPY pyproject.toml README.md LICENSE ./
COPY s3sftp s3sftp
RUN ["/tools/bin/python3", "-m", "hatchling", "build", "--target", "wheel", "--directory", "/build/dist"]
COPY deploy/image/install.py ./
RUN ["python3", "-X", "no_debug_ranges", "install.py", "/opt/s3sftp", "/build/dist", "/rootfs"]
RUN ["/tools/bin/cyclonedx-py", "environment", "--output-reproducible", "--pyproject", "pyproject.toml", \
     "--output-file", "/rootfs/usr/share/s3sftp/sbom.cdx.json", "/opt/s3sftp/bin/python3"]

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="s3sftp" \
      org.opencontainers.image.description="An SFTP server whose storage is an S3 bucket" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/s3sftp /opt/s3sftp
COPY --from=build /rootfs/etc/s3sftp /etc/s3sftp
COPY --from=build /rootfs/usr/share/s3sftp /usr/share/s3sftp
COPY --from=build --chown=10001:0 /rootfs/var/lib/s3sftp /var/lib/s3sftp
ENV PATH=/opt/s3sftp/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    S3SFTP_CONFIG=/etc/s3sftp/s3sftp.toml \
    S3SFTP_LISTEN__PORT=2022 \
    S3SFTP_ADMIN__HOST=0.0.0.0 \
    S3SFTP_ADMIN__PORT=9090
USER 10001:10001
EXPOSE 2022 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["s3sftp", "health", "--live"]
ENTRYPOINT ["s3sftp"]
CMD ["serve"]

# The daemon in a container: `docker build -t liongate .`. docs/packaging.md says how it is run, and how these steps are
# proven where there is no Docker.
FROM debian:12 AS build
WORKDIR /src
COPY . /src
RUN scripts/install-deps.sh
RUN meson setup /build --prefix=/usr -Dbuildtype=release -Dtests=false -Dman=disabled
RUN meson compile -C /build && DESTDIR=/out meson install -C /build --strip --no-rebuild

FROM debian:12-slim
# libcurl4 is loaded when the first language model is asked, and wants the certificates; libncursesw6 by `liongatectl top`.
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates libcurl4 libevent-core-2.1-7 libinih1 libjson-c5 \
        libncursesw6 libsqlite3-0 libsystemd0 && \
    rm -rf /var/lib/apt/lists/*
# A service user takes the places of the system's daemon, and its home is beside the log.
RUN useradd --system --home-dir /var/lib/liongate/home liongate && \
    install -d -o liongate -g liongate -m 0700 /var/lib/liongate /var/lib/liongate/home && \
    install -d -o liongate -g liongate -m 0755 /run/liongate
COPY --from=build /out/usr/bin/liongated /out/usr/bin/liongatectl /usr/bin/
USER liongate
WORKDIR /var/lib/liongate/home
VOLUME /var/lib/liongate
# Agents have `stop_grace` to end by themselves: `docker stop --time` is to be longer.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["liongatectl", "status"]
ENTRYPOINT ["liongated"]

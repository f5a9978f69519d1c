# Two stages: build on Debian, run on a minimal base with the C library alone. The UI is committed in web/dist, so cargo builds all.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked && mkdir -p /out/data && cp target/release/cairn /out/cairn

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="Cairn" \
      org.opencontainers.image.description="Monitoring appliance: scrapes, stores, answers PromQL, alerts, draws dashboards"
COPY --from=build /out/cairn /usr/local/bin/cairn
# The volume belongs to the user that the process runs as.
COPY --from=build --chown=nonroot:nonroot /out/data /data
VOLUME /data
EXPOSE 9090
USER nonroot
HEALTHCHECK --interval=15s --timeout=3s --start-period=5s CMD ["/usr/local/bin/cairn", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/cairn"]
CMD ["--web.listen-address=0.0.0.0:9090", "--storage.tsdb.path=/data"]

# syntax=docker/dockerfile:1
# One image for every role; the command says which (`tideline worker`). The final image has no shell and no package manager:
# the health check is a command of the program.
ARG RUST_VERSION=1.95
ARG DEBIAN_RELEASE=bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM rust:${RUST_VERSION}-${DEBIAN_RELEASE} AS build
WORKDIR /src
COPY . .
# The registry and the compiled dependencies stay in caches between builds, so a change of ours compiles only our crates.
RUN --mount=type=cache,id=tideline-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=tideline-target-${RUST_VERSION},target=/src/target \
    cargo build --release --locked --package tideline-cli --bin tideline \
    && install -D -m 0755 target/release/tideline /out/tideline

FROM ${RUNTIME_IMAGE}
COPY --from=build /out/tideline /usr/local/bin/tideline
# The image's own unprivileged user, as numbers, so that `runAsNonRoot` can be checked.
USER 65532:65532
EXPOSE 7070
# glibc raises this by itself after the first large webhook, and then keeps what large ones took.
ENV MALLOC_MMAP_THRESHOLD_=1048576
# Nothing is written to the root file system: it may be read-only. SIGTERM (the default) drains.
HEALTHCHECK --interval=5s --timeout=4s --start-period=20s --retries=3 CMD ["/usr/local/bin/tideline", "health"]
ENTRYPOINT ["/usr/local/bin/tideline"]
CMD ["--help"]

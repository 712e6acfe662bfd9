# A small image with the one binary. A manifest's own tools (a compiler, say) are not in it: build
# an image `FROM` this one that adds them, and mount or copy the project to /project.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --bin reprovm

# The same Debian as above, so that the C library fits.
FROM debian:bookworm-slim
COPY --from=build /source/target/release/reprovm /usr/local/bin/reprovm
# Whom an encrypted remote store is trusted by.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
WORKDIR /project
ENTRYPOINT ["reprovm"]
CMD ["manifest.txt"]

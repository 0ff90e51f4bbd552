# The image of dynamic-mcp: one static binary, which runs as nobody in particular and writes nothing.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api/ api/
COPY cmd/ cmd/
COPY config/crd/ config/crd/
COPY internal/ internal/
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath \
    -ldflags "-s -w -X github.com/dynamic-mcp/dynamic-mcp/internal/version.Version=${VERSION}" \
    -o /dynamic-mcp ./cmd

FROM gcr.io/distroless/static:nonroot
COPY --from=build /dynamic-mcp /dynamic-mcp
USER 65532:65532
ENTRYPOINT ["/dynamic-mcp"]
CMD ["manager"]

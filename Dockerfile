# syntax=docker/dockerfile:1
# Targets: api (no engine, no compiler), worker (TensorFlow for CPUs), worker-cuda (TensorFlow for NVIDIA GPUs).

FROM node:24-bookworm-slim AS base
ENV NODE_ENV=production
WORKDIR /lathe

# Everything with its development tools: compiles dist/ and the database client.
FROM base AS build
ENV NODE_ENV=development
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN node scripts/prisma-generate.mjs && node scripts/build.mjs

# What runs in production.
FROM base AS packages
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM base AS runtime
COPY --from=packages /lathe/node_modules ./node_modules
COPY --from=build /lathe/dist ./dist
COPY --from=build /lathe/package.json ./package.json
COPY --from=build /lathe/bin ./bin
COPY --from=build /lathe/scripts ./scripts
COPY --from=build /lathe/native ./native
COPY --from=build /lathe/prisma ./prisma
COPY --from=build /lathe/openapi.yaml ./openapi.yaml
RUN mkdir -p /data && chown node:node /data
ENV LATHE_HOME=/data LATHE_HOST=0.0.0.0 LATHE_PORT=8080
VOLUME /data

FROM runtime AS api
USER node
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.LATHE_PORT ?? 8080) + '/healthz').then(\
({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--enable-source-maps", "dist/bundle/src/api/main.js"]

# The engine is compiled against TensorFlow's libraries from PyPI, pinned by hash; compiler and pip stay in this stage.
FROM build AS engine
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends g++ python3 python3-pip && rm -rf /var/lib/apt/lists/*
ENV XDG_CACHE_HOME=/cache
RUN LATHE_ENGINE_BUILD=cpu node scripts/engine/build.mjs

# TensorFlow's CUDA build, and the CUDA 12 libraries where it looks for them.
FROM engine AS engine-cuda
RUN LATHE_ENGINE_BUILD=cuda node scripts/engine/build.mjs && node scripts/engine/cuda-libraries.mjs

FROM runtime AS worker
COPY --from=engine --chown=node:node /cache /cache
ENV XDG_CACHE_HOME=/cache
USER node
# The supervisor touches the file while it lives and reaches the database.
ENV LATHE_HEALTH_FILE=/tmp/lathe-supervisor.alive
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
  CMD ["sh", "-c", "test -n \"$(find \"$LATHE_HEALTH_FILE\" -mmin -1)\""]
CMD ["node", "--enable-source-maps", "dist/bundle/workers/supervisor.js"]

FROM worker AS worker-cuda
COPY --from=engine-cuda --chown=node:node /cache /cache
ENV LATHE_ENGINE_BUILD=cuda NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

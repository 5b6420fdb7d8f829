# Portcullis without a database of its own: give it PORTCULLIS_DATABASE_URL (compose.yaml does).
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json bundle.js ./
COPY src ./src
RUN npm run build && npm prune --omit=dev --omit=optional --ignore-scripts

FROM node:24-slim
ENV NODE_ENV=production PORTCULLIS_HTTP=0.0.0.0:7020 PORTCULLIS_HOME=/var/lib/portcullis
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/src/postgres/migrations ./src/postgres/migrations
COPY package.json LICENSE ./
COPY flags ./flags
RUN ln -s /app/dist/main.js /usr/local/bin/portcullis && install -d -o node -g node -m 0700 /var/lib/portcullis
USER node
VOLUME /var/lib/portcullis
EXPOSE 7020
STOPSIGNAL SIGTERM
# A worker without --http has nothing that could be asked: docker run --no-healthcheck
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://' + process.env.PORTCULLIS_HTTP + '/readyz').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["portcullis"]
CMD ["start"]

import { Counter, Gauge, type Registry } from 'prom-client';

export interface NotificationMetrics {
  /** One attempt at delivering a notification: taken, failed for now, or given up with this one. */
  notificationTried(outcome: 'delivered' | 'failed' | 'dead'): void;
  /** Deliveries that wait, and that were given up. */
  notificationBacklog(backlog: { readonly pending: number; readonly dead: number }): void;
}

export function measureNotifications(registry: Registry): NotificationMetrics {
  const registers = [registry];
  const attempts = new Counter({
    name: 'portcullis_notification_attempts_total',
    help: 'Attempts at delivering a notification, by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const backlog = new Gauge({
    name: 'portcullis_notification_backlog',
    help: 'Deliveries of notifications that wait, and that were given up.',
    labelNames: ['state'],
    registers,
  });
  return {
    notificationTried(outcome) {
      attempts.inc({ outcome });
    },
    notificationBacklog({ pending, dead }) {
      backlog.set({ state: 'pending' }, pending);
      backlog.set({ state: 'dead' }, dead);
    },
  };
}

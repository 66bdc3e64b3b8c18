/*
 * Loads a file by TFTP many times at once and prints what came in as one line of JSON. In C, so that the client is
 * never what limits a measurement.
 *
 *   tftp-load ADDRESS PORT FILE CLIENTS BLKSIZE WINDOWSIZE [TRANSFERS]
 *
 * CLIENTS sockets run at once, in one thread, until TRANSFERS (default: CLIENTS) files have come. Half a second
 * without a block makes a client acknowledge what it has again, as firmware does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct client {
  int fd;
  int busy, began;
  struct sockaddr_in peer; /* the server's transfer port, once known */
  uint32_t next;           /* the block awaited, without rollover */
  uint32_t in_window;
  uint64_t bytes;
  double heard, asked;
};

static struct sockaddr_in server;
static const char *file;
static int blksize, windowsize, transfers, started, done, failed;
static uint64_t total, resent;
static double *took;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void ask(struct client *c) {
  char request[512];
  int n = snprintf(request, sizeof request, "%c%c%s%coctet%cblksize%c%d%cwindowsize%c%d", 0, 1, file, 0, 0, 0, blksize, 0, 0, windowsize) + 1;
  c->next = 1;
  c->in_window = 0;
  c->bytes = 0;
  c->began = 0;
  c->busy = 1;
  c->heard = c->asked = now();
  sendto(c->fd, request, n, 0, (struct sockaddr *)&server, sizeof server);
}

static void begin(struct client *c, int epoll) {
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
  c->busy = 0;
  if (started >= transfers) return;
  started++;
  c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  int size = 1 << 20;
  setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
  ask(c);
}

static void acknowledge(struct client *c) {
  unsigned char ack[4] = {0, 4, ((c->next - 1) >> 8) & 255, (c->next - 1) & 255};
  c->in_window = 0;
  sendto(c->fd, ack, 4, 0, (struct sockaddr *)&c->peer, sizeof c->peer);
}

static void finish(struct client *c, int epoll, int good) {
  if (good) {
    took[done++] = now() - c->asked;
    total += c->bytes;
  } else
    failed++;
  begin(c, epoll);
}

/* One message; 0 when the transfer is over. */
static int take(struct client *c, unsigned char *m, int n, struct sockaddr_in *from, int epoll) {
  if (n < 4) return 1;
  if (!c->began) {
    c->peer = *from;
    c->began = 1;
  } else if (from->sin_port != c->peer.sin_port)
    return 1;
  if (m[1] == 5) {
    finish(c, epoll, 0);
    return 0;
  }
  if (m[1] == 6) {
    /* Both options are acknowledged or the measurement is not what it says. */
    if (!memmem(m, n, "blksize", 7) || (windowsize > 1 && !memmem(m, n, "windowsize", 10))) {
      fprintf(stderr, "the server does not take blksize and windowsize\n");
      exit(2);
    }
    if (c->next == 1) acknowledge(c);
    return 1;
  }
  if (m[1] != 3) return 1;
  if ((m[2] << 8 | m[3]) != (int)(c->next & 0xffff)) {
    resent++;
    if (c->in_window) acknowledge(c);
    return 1;
  }
  c->bytes += n - 4;
  c->next++;
  c->in_window++;
  int last = n - 4 < blksize;
  if (last || c->in_window >= (uint32_t)windowsize) acknowledge(c);
  if (!last) return 1;
  finish(c, epoll, 1);
  return 0;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
  if (argc < 7) {
    fprintf(stderr, "usage: tftp-load ADDRESS PORT FILE CLIENTS BLKSIZE WINDOWSIZE [TRANSFERS]\n");
    return 64;
  }
  server.sin_family = AF_INET;
  server.sin_port = htons(atoi(argv[2]));
  if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) return 64;
  file = argv[3];
  int clients = atoi(argv[4]);
  blksize = atoi(argv[5]);
  windowsize = atoi(argv[6]);
  transfers = argc > 7 ? atoi(argv[7]) : clients;
  took = calloc(transfers, sizeof *took);
  struct client *all = calloc(clients, sizeof *all);
  int epoll = epoll_create1(0);
  double start = now();
  for (int i = 0; i < clients; i++) {
    all[i].fd = -1;
    begin(&all[i], epoll);
  }
  unsigned char message[65536];
  while (done + failed < transfers) {
    struct epoll_event events[256];
    int n = epoll_wait(epoll, events, 256, 100);
    double t = now();
    for (int i = 0; i < n; i++) {
      struct client *c = events[i].data.ptr;
      c->heard = t;
      for (;;) {
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        int got = recvfrom(c->fd, message, sizeof message, 0, (struct sockaddr *)&from, &length);
        if (got < 0 || !take(c, message, got, &from, epoll)) break;
      }
    }
    for (int i = 0; i < clients; i++) {
      struct client *c = &all[i];
      if (!c->busy || t - c->heard < 0.5) continue;
      c->heard = t;
      resent++;
      if (t - c->asked > 120) finish(c, epoll, 0);
      else if (c->began) acknowledge(c);
      else {
        double asked = c->asked;
        ask(c);
        c->asked = asked;
      }
    }
  }
  double seconds = now() - start;
  qsort(took, done, sizeof *took, ascending);
  printf("{\"transfers\":%d,\"failed\":%d,\"bytes\":%llu,\"seconds\":%.3f,\"MBps\":%.1f,\"resent\":%llu,\"p99\":%.3f}\n", done, failed,
         (unsigned long long)total, seconds, total / seconds / 1e6, (unsigned long long)resent, done ? took[(done * 99 - 1) / 100] : 0);
  return failed > 0;
}

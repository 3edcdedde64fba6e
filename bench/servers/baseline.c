// The least that this machine can do: epoll, a ring of connections in the order of their next tick, one write a frame.
// With an argument n, connections that start in the same n-th of a tick are served in one wake-up, as in server/clock.ts.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_FD 1100000
static const char HEAD[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

// Every tick has the same length, so the connection served longest ago is due next: a doubly linked ring is the queue.
static struct connection {
  double due;
  long count;
  int next, previous;
} connections[MAX_FD]; // by file descriptor; 0 is the ring's anchor

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void leave(int fd) {
  connections[connections[fd].previous].next = connections[fd].next;
  connections[connections[fd].next].previous = connections[fd].previous;
}

static void queue(int fd) {
  int last = connections[0].previous;
  connections[fd].previous = last;
  connections[fd].next = 0;
  connections[last].next = connections[0].previous = fd;
}

static int number(const char *name, int by_default) {
  const char *text = getenv(name);
  return text ? atoi(text) : by_default;
}

int main(int arguments, char **argument) {
  double tick_ms = number("TICK_MS", 1000);
  double phase_ms = arguments > 1 ? tick_ms / atoi(argument[1]) : 0;
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(number("PORT", 0))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096)) {
    perror("listen");
    return 1;
  }
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("http://localhost:%d\n", ntohs(address.sin_port));
  fflush(stdout);

  int poll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);

  for (;;) {
    int first = connections[0].next;
    double wait = first ? connections[first].due - now_ms() : 1000;
    struct timespec timeout = {0, 0};
    if (wait > 0) timeout = (struct timespec){wait / 1000, (long)(wait * 1e6) % 1000000000};
    int ready = epoll_pwait2(poll, events, 256, &timeout, NULL);

    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      char request[4096];
      if (fd == listener) {
        while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0 && fd < MAX_FD) {
          event = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
          connections[fd] = (struct connection){.next = fd, .previous = fd};
          epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
        }
      } else if (read(fd, request, sizeof request) > 0) {
        if (write(fd, HEAD, sizeof HEAD - 1) < 0) continue;
        double start = now_ms();
        if (phase_ms > 0) start = (long)(start / phase_ms) * phase_ms;
        connections[fd].due = start + tick_ms;
        queue(fd);
      } else {
        leave(fd);
        close(fd);
      }
    }

    double now = now_ms();
    for (int fd; (fd = connections[0].next) && connections[fd].due <= now;) {
      struct connection *c = &connections[fd];
      char frame[64], chunk[80];
      c->count++;
      int size = snprintf(frame, sizeof frame, "id: %ld\ndata: %ld\n\n", c->count, c->count);
      size = snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", size, frame);
      leave(fd);
      if (write(fd, chunk, size) != size) {
        connections[fd].next = connections[fd].previous = fd;
        shutdown(fd, SHUT_RDWR);
        continue;
      }
      c->due += tick_ms;
      queue(fd);
    }
  }
}

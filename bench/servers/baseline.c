// Close to the least that this machine can do: epoll, and one write a frame. Every tick has the same length, so
// the connection served longest ago is due next, and a ring buffer is the queue. It expects a whole request in
// one read. Like the other servers it hears when a client leaves; the connection's next turn in the ring closes it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 1000
#define MOST (1 << 20)
static const char HEAD[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

static struct connection {
  int fd;
  long count;
  double due;
} ring[MOST];
static unsigned head, tail;

// One that was served late is due before some that were served since. Behind them it would be late for ever.
static void push(struct connection c) {
  unsigned i = tail++;
  for (; i != head && ring[(i - 1) % MOST].due > c.due; i--) ring[i % MOST] = ring[(i - 1) % MOST];
  ring[i % MOST] = c;
}

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
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
    double wait = head == tail ? TICK_MS : ring[head % MOST].due - now_ms();
    struct timespec timeout = {0, 0};
    if (wait > 0) timeout = (struct timespec){wait / 1000, (long)(wait * 1e6) % 1000000000};
    int ready = epoll_pwait2(poll, events, 256, &timeout, NULL);

    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      char request[4096];
      if (fd == listener) {
        while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
          event = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
          epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
        }
      } else if (read(fd, request, sizeof request) > 0 && write(fd, HEAD, sizeof HEAD - 1) > 0) {
        push((struct connection){.fd = fd, .due = now_ms() + TICK_MS});
      } else {
        epoll_ctl(poll, EPOLL_CTL_DEL, fd, NULL);
        shutdown(fd, SHUT_RDWR);
      }
    }

    for (double now = now_ms(); head != tail && ring[head % MOST].due <= now;) {
      struct connection c = ring[head++ % MOST];
      char frame[64], chunk[80];
      c.count++;
      int size = snprintf(frame, sizeof frame, "id: %ld\ndata: %ld\n\n", c.count, c.count);
      size = snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", size, frame);
      if (write(c.fd, chunk, size) == size) {
        c.due += TICK_MS;
        push(c);
      } else {
        close(c.fd);
      }
    }
  }
}

// A load generator for HTTP/1.1 gateways: one thread, epoll, keep-alive, SSE aware.
//
//   load --port N --path P --bodies FILE [--header "k: v"]... --connections N
//        (--rate R | closed loop) --seconds S --warmup S [--drain S] [--expect TEXT]
//
// FILE holds one request body a line, optionally "/path<TAB>body". Connection i sends the lines
// i, i+N, i+2N ... in turn, so no two connections ever send the same line: give every line its own
// conversation and no conversation has two turns at once.
//
// Closed loop: every connection always has one request under way.
// Open loop:   requests are due at a fixed rate on at most N connections, and latency counts from
//              the moment a request was due, so a stall is paid by every request behind it.
// A request is good when its status is 200, its body is whole and, with --expect, holds TEXT.
// After the end, answers under way are awaited for --drain seconds.
// Prints one JSON line; latencies in microseconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HEAD_BYTES_MAX = 16 * 1024,
    READ_BYTES = 256 * 1024,
    SAMPLES_MAX = 4 * 1000 * 1000,  // 30 s at 130,000 requests/s
    HEADERS_BYTES_MAX = 8 * 1024,
    EXPECT_BYTES_MAX = 128,
    EVENTS_PER_WAIT = 512,
};

typedef enum { FRAME_LENGTH, FRAME_CHUNKED, FRAME_CLOSE } Framing;
typedef enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, CHUNK_TRAILER } ChunkState;

typedef struct {
    char *bytes;
    size_t length;
} Request;

typedef struct Connection {
    int descriptor, index;
    size_t turn;  // how many requests it has sent: chooses its next line
    bool busy, head_done, keep_alive, expected_seen;
    uint64_t due_ns, first_byte_ns;
    int status, events, reads;
    Framing framing;
    ChunkState chunk_state;
    size_t left, body_bytes, trailer_bytes;
    char head[HEAD_BYTES_MAX];
    size_t head_bytes;
    char tail[EXPECT_BYTES_MAX];  // the end of the last piece, so that a split TEXT is found
    size_t tail_bytes;
    struct Connection *next_idle;
} Connection;

static struct {
    int port, connections;
    double rate, seconds, warmup, drain;
    const char *path, *bodies, *expect;
    char headers[HEADERS_BYTES_MAX];
} options = {.path = "/v1/chat/completions", .connections = 1, .seconds = 5, .drain = 5, .expect = ""};

static Request *requests;
static size_t request_count;
// Idle connections wait in line, so that an open loop spreads its requests over all of them.
static Connection *idle_first, *idle_last;
static int poller, busy_count;
static uint64_t start_ns, end_ns;
static uint32_t *latency_us, *first_byte_us;
static size_t samples, answered, errors, other_status;
static int last_other_status;
static double body_bytes_sum, events_sum, reads_sum;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(2);
}

static void rest(Connection *c) {
    c->next_idle = NULL;
    if (idle_last) idle_last->next_idle = c;
    else idle_first = c;
    idle_last = c;
}

static Connection *wake(void) {
    Connection *c = idle_first;
    idle_first = c->next_idle;
    if (!idle_first) idle_last = NULL;
    return c;
}

static void dial(Connection *c) {
    c->descriptor = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;
    setsockopt(c->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(c->descriptor, (void *)&address, sizeof address)) fail("connect");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->descriptor, &event)) fail("epoll_ctl");
}

static void redial(Connection *c) {
    close(c->descriptor);  // which also takes it out of the poller
    dial(c);
}

static void send_request(Connection *c, uint64_t due_ns) {
    size_t mine = (request_count - 1 - (size_t)c->index % request_count) /
                      (size_t)options.connections + 1;
    size_t line = (size_t)c->index + (c->turn++ % mine) * (size_t)options.connections;
    const Request *r = &requests[line % request_count];
    c->busy = true;
    busy_count++;
    c->head_done = c->expected_seen = false;
    c->keep_alive = true;
    c->due_ns = due_ns;
    c->first_byte_ns = 0;
    c->status = c->events = c->reads = 0;
    c->chunk_state = CHUNK_SIZE;
    c->left = c->body_bytes = c->head_bytes = c->tail_bytes = c->trailer_bytes = 0;
    // The socket blocks for writing only: reads ask for MSG_DONTWAIT. A body larger than the
    // socket's buffer may wait for the server, which is what a client would do.
    for (size_t sent = 0; sent < r->length;) {
        ssize_t n = send(c->descriptor, r->bytes + sent, r->length - sent, MSG_NOSIGNAL);
        if (n < 0) return;  // the read that follows finds the connection closed and counts it
        sent += (size_t)n;
    }
}

static void record(const Connection *c, uint64_t now) {
    if (now < start_ns || now >= end_ns || samples == SAMPLES_MAX) return;
    latency_us[samples] = (uint32_t)((now - c->due_ns) / 1000);
    first_byte_us[samples] = (uint32_t)((c->first_byte_ns - c->due_ns) / 1000);
    samples++;
    body_bytes_sum += (double)c->body_bytes;
    events_sum += c->events;
    reads_sum += c->reads;
}

static void finish(Connection *c, bool whole) {
    uint64_t now = now_ns();
    bool good = whole && c->status == 200 && (c->expected_seen || !*options.expect);
    c->busy = false;
    busy_count--;
    answered++;
    if (c->status && c->status != 200) {
        other_status++;
        last_other_status = c->status;
    }
    if (good) record(c, now);
    else errors++;
    if (!whole || !c->keep_alive) redial(c);
    if (options.rate == 0) {
        if (now < end_ns) send_request(c, now);
    } else rest(c);
}

static int count_of(const char *bytes, size_t length, const char *what) {
    int count = 0;
    size_t size = strlen(what);
    const char *end = bytes + length;
    for (const char *at = bytes; (at = memmem(at, (size_t)(end - at), what, size)); at += size)
        count++;
    return count;
}

// Looks for the expected text in what arrived, also across the border of two pieces.
static void look_for_expected(Connection *c, const char *bytes, size_t length) {
    size_t size = strlen(options.expect);
    if (!size || c->expected_seen) return;
    char border[2 * EXPECT_BYTES_MAX];
    size_t head = length < size - 1 ? length : size - 1;
    memcpy(border, c->tail, c->tail_bytes);
    memcpy(border + c->tail_bytes, bytes, head);
    c->expected_seen = memmem(bytes, length, options.expect, size) ||
                       memmem(border, c->tail_bytes + head, options.expect, size);
    if (length >= size - 1) {
        c->tail_bytes = size - 1;
        memcpy(c->tail, bytes + length - c->tail_bytes, c->tail_bytes);
    } else {
        size_t both = c->tail_bytes + length, keep = both < size - 1 ? both : size - 1;
        memmove(c->tail, border + both - keep, keep);
        c->tail_bytes = keep;
    }
}

static void take_body(Connection *c, const char *bytes, size_t length) {
    c->body_bytes += length;
    c->events += count_of(bytes, length, "data:");
    look_for_expected(c, bytes, length);
}

// Returns true when the last chunk's trailer has ended.
static bool take_chunked(Connection *c, const char *bytes, size_t length) {
    for (size_t i = 0; i < length;) {
        char ch = bytes[i];
        if (c->chunk_state == CHUNK_SIZE) {
            i++;
            if (ch == '\n') c->chunk_state = c->left ? CHUNK_DATA : CHUNK_TRAILER;
            else if (ch != '\r')
                c->left = c->left * 16 + (size_t)(ch <= '9' ? ch - '0' : (ch | 32) - 'a' + 10);
        } else if (c->chunk_state == CHUNK_DATA) {
            size_t piece = length - i < c->left ? length - i : c->left;
            take_body(c, bytes + i, piece);
            i += piece;
            c->left -= piece;
            if (!c->left) c->chunk_state = CHUNK_END;
        } else if (c->chunk_state == CHUNK_END) {
            i++;
            if (ch == '\n') c->chunk_state = CHUNK_SIZE;
        } else {
            i++;
            if (ch == '\n') return true;
        }
    }
    return false;
}

static void read_head(Connection *c) {
    c->status = atoi(c->head + 9);
    const char *length = strcasestr(c->head, "\r\ncontent-length:");
    const char *coding = strcasestr(c->head, "\r\ntransfer-encoding: chunked");
    if (strcasestr(c->head, "\r\nconnection: close")) c->keep_alive = false;
    c->framing = coding ? FRAME_CHUNKED : length ? FRAME_LENGTH : FRAME_CLOSE;
    if (c->framing == FRAME_LENGTH) c->left = strtoul(length + 17, NULL, 10);
}

static void take(Connection *c, const char *bytes, size_t length) {
    c->reads++;
    if (!c->head_done) {
        size_t room = HEAD_BYTES_MAX - 1 - c->head_bytes, copied = length < room ? length : room;
        memcpy(c->head + c->head_bytes, bytes, copied);
        size_t before = c->head_bytes;
        c->head_bytes += copied;
        c->head[c->head_bytes] = 0;
        char *end = strstr(c->head, "\r\n\r\n");
        if (!end) {
            if (copied < length) finish(c, false);  // a head beyond the bound
            return;
        }
        size_t head = (size_t)(end + 4 - c->head);
        end[2] = 0;
        c->head_done = true;
        read_head(c);
        bytes += head - before;
        length -= head - before;
    }
    if (length && !c->first_byte_ns) c->first_byte_ns = now_ns();
    if (c->framing == FRAME_CHUNKED) {
        if (take_chunked(c, bytes, length)) finish(c, true);
        return;
    }
    take_body(c, bytes, length);
    if (c->framing == FRAME_LENGTH) {
        c->left -= length < c->left ? length : c->left;
        if (!c->left) finish(c, true);
    }
}

static void on_readable(Connection *c, char *buffer) {
    ssize_t n = recv(c->descriptor, buffer, READ_BYTES, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0 && c->busy) take(c, buffer, (size_t)n);
    else if (n <= 0 && c->busy) {
        c->keep_alive = false;
        finish(c, c->head_done && c->framing == FRAME_CLOSE);
    } else if (n <= 0) redial(c);  // an idle connection that the server closed
}

static void add_request(const char *line, size_t length) {
    const char *path = options.path, *tab = memchr(line, '\t', length);
    size_t path_bytes = strlen(path);
    if (*line == '/' && tab) {
        path = line;
        path_bytes = (size_t)(tab - line);
        length -= path_bytes + 1;
        line = tab + 1;
    }
    requests = realloc(requests, (request_count + 1) * sizeof *requests);
    Request *r = &requests[request_count++];
    r->bytes = malloc(length + path_bytes + HEADERS_BYTES_MAX + 512);
    if (!r->bytes) fail("memory");
    r->length = (size_t)sprintf(r->bytes,
                                "POST %.*s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nuser-agent: axon-load\r\n"
                                "accept: */*\r\ncontent-type: application/json\r\n%s"
                                "content-length: %zu\r\n\r\n",
                                (int)path_bytes, path, options.port, options.headers, length);
    memcpy(r->bytes + r->length, line, length);
    r->length += length;
}

static void read_bodies(void) {
    FILE *file = fopen(options.bodies, "r");
    if (!file) fail(options.bodies);
    char *line = NULL;
    size_t capacity = 0;
    for (ssize_t n; (n = getline(&line, &capacity, file)) > 0;) {
        while (n && (line[n - 1] == '\n' || line[n - 1] == '\r')) n--;
        if (n) add_request(line, (size_t)n);
    }
    free(line);
    fclose(file);
    if (!request_count) fail("no request bodies");
}

static void read_options(int argc, char **argv) {
    static const struct option known[] = {
        {"port", 1, 0, 'p'}, {"path", 1, 0, 'u'}, {"bodies", 1, 0, 'b'}, {"header", 1, 0, 'h'},
        {"connections", 1, 0, 'c'}, {"rate", 1, 0, 'r'}, {"seconds", 1, 0, 's'},
        {"warmup", 1, 0, 'w'}, {"drain", 1, 0, 'd'}, {"expect", 1, 0, 'e'}, {0}};
    for (int o; (o = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        size_t used = strlen(options.headers);
        if (o == 'p') options.port = atoi(optarg);
        else if (o == 'u') options.path = optarg;
        else if (o == 'b') options.bodies = optarg;
        else if (o == 'h') snprintf(options.headers + used, HEADERS_BYTES_MAX - used, "%s\r\n", optarg);
        else if (o == 'c') options.connections = atoi(optarg);
        else if (o == 'r') options.rate = atof(optarg);
        else if (o == 's') options.seconds = atof(optarg);
        else if (o == 'w') options.warmup = atof(optarg);
        else if (o == 'd') options.drain = atof(optarg);
        else if (o == 'e') options.expect = optarg;
        else exit(1);
    }
    if (!options.port || !options.bodies || options.connections < 1 ||
        strlen(options.expect) >= EXPECT_BYTES_MAX) {
        fprintf(stderr, "load needs --port, --bodies and at least one connection\n");
        exit(1);
    }
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(const uint32_t *sorted, double share) {
    if (!samples) return 0;
    size_t at = (size_t)(share * (double)samples);
    return sorted[at < samples ? at : samples - 1];
}

static void report(size_t unsent) {
    qsort(latency_us, samples, sizeof *latency_us, by_size);
    qsort(first_byte_us, samples, sizeof *first_byte_us, by_size);
    double each = samples ? (double)samples : 1;
    printf("{\"requests\": %zu, \"rate_per_s\": %.1f, \"errors\": %zu, \"other_status\": %zu, "
           "\"last_other_status\": %d, \"unsent\": %zu, \"p50_us\": %u, \"p95_us\": %u, "
           "\"p99_us\": %u, \"p999_us\": %u, \"first_byte_p50_us\": %u, \"first_byte_p99_us\": %u, "
           "\"body_bytes\": %.0f, \"events\": %.1f, \"reads\": %.1f, \"answered\": %zu}\n",
           samples, (double)samples / options.seconds, errors, other_status, last_other_status,
           unsent, percentile(latency_us, .5), percentile(latency_us, .95),
           percentile(latency_us, .99), percentile(latency_us, .999),
           percentile(first_byte_us, .5), percentile(first_byte_us, .99), body_bytes_sum / each,
           events_sum / each, reads_sum / each, answered);
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    read_bodies();
    latency_us = malloc(SAMPLES_MAX * sizeof *latency_us);
    first_byte_us = malloc(SAMPLES_MAX * sizeof *first_byte_us);
    char *buffer = malloc(READ_BYTES);
    poller = epoll_create1(0);
    Connection *all = calloc((size_t)options.connections, sizeof *all);
    if (!all || !latency_us || !first_byte_us || !buffer) fail("memory");

    uint64_t due_ns = now_ns(), step_ns = options.rate > 0 ? (uint64_t)(1e9 / options.rate) : 0;
    start_ns = due_ns + (uint64_t)(options.warmup * 1e9);
    end_ns = start_ns + (uint64_t)(options.seconds * 1e9);
    uint64_t give_up_ns = end_ns + (uint64_t)(options.drain * 1e9);
    for (int i = 0; i < options.connections; i++) {
        all[i].index = i;
        dial(&all[i]);
        if (step_ns) rest(&all[i]);
        else send_request(&all[i], now_ns());
    }
    struct epoll_event ready[EVENTS_PER_WAIT];
    for (;;) {
        uint64_t now = now_ns();
        if (now >= end_ns && (!busy_count || now > give_up_ns)) break;
        for (; step_ns && idle_first && due_ns <= now && due_ns < end_ns; due_ns += step_ns)
            send_request(wake(), due_ns);
        uint64_t wait_ns = 50 * 1000 * 1000;  // often enough to notice the end
        if (step_ns && idle_first && due_ns < end_ns) wait_ns = due_ns > now ? due_ns - now : 0;
        struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000u),
                                .tv_nsec = (long)(wait_ns % 1000000000u)};
        int count = epoll_pwait2(poller, ready, EVENTS_PER_WAIT, &wait, NULL);
        for (int i = 0; i < count; i++) on_readable(ready[i].data.ptr, buffer);
    }
    report(step_ns && due_ns < end_ns ? (size_t)((end_ns - due_ns) / step_ns) : 0);
    return 0;
}

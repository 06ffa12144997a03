// A fast fake upstream: what an OpenAI-compatible engine looks like when it costs nothing.
//
//   upstream --port N --chunks N --interval-us N
//
// Prints {"port": N} when it listens (--port 0 takes a free one). One thread, epoll, keep-alive.
//   GET  .../models           a list with one model
//   POST .../completions      a chat completion of about 1 KB, or, when the body says
//                             "stream":true, CHUNKS events, a usage event and [DONE]
//   anything else             404
//   --interval-us 0           a stream leaves in one write (the gateway may relay it in one)
//   --interval-us N           one event every N microseconds (an engine that thinks)
// It is a measuring tool for localhost: it trusts its clients.
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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    REQUEST_BYTES_START = 16 * 1024,
    REQUEST_BYTES_MAX = 8 * 1024 * 1024,  // a whole conversation fits; more is a runaway client
    EVENT_BYTES_MAX = 1024,
    EVENTS_PER_WAIT = 512,
    ANSWER_WORDS = 90,  // makes the answer about 1 KB
};

typedef struct {
    char *bytes;
    size_t length;
} Text;

typedef struct Connection {
    int descriptor;
    char *request;
    size_t received, capacity;
    int next_event;        // of a paced stream; -1 when none runs
    uint64_t due_ns;       // when the next event of a paced stream leaves
    struct Connection *next_paced;
} Connection;

static Text whole_answer, models_answer, missing_answer, burst;
static Text *stream_events;
static int stream_event_count;
static uint64_t interval_ns;
// All paced streams have the same interval, so the queue ordered by arrival is ordered by time.
static Connection *paced_first, *paced_last;
static int poller;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(2);
}

static void append(Text *text, const char *bytes, size_t length) {
    text->bytes = realloc(text->bytes, text->length + length + 1);
    if (!text->bytes) fail("memory");
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = 0;
}

static Text json_answer(const char *status, const char *body) {
    char head[256];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n",
                          status, strlen(body));
    Text answer = {0};
    append(&answer, head, (size_t)length);
    append(&answer, body, strlen(body));
    return answer;
}

static void make_answers(void) {
    char content[ANSWER_WORDS * 8 + 1] = "", body[4096];
    for (int i = 0; i < ANSWER_WORDS; i++) strcat(content, "durable ");
    snprintf(body, sizeof body,
             "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1760000000,"
             "\"model\":\"bench-model\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
             "\"content\":\"%s\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
             "\"usage\":{\"prompt_tokens\":57,\"completion_tokens\":%d,\"total_tokens\":%d}}",
             content, ANSWER_WORDS, ANSWER_WORDS + 57);
    whole_answer = json_answer("200 OK", body);
    models_answer = json_answer("200 OK",
                                "{\"object\":\"list\",\"data\":[{\"id\":\"bench-model\",\"object\":\"model\","
                                "\"created\":1760000000,\"owned_by\":\"bench\"}]}");
    missing_answer = json_answer("404 Not Found", "{\"error\":{\"message\":\"no such path\"}}");
}

static int write_event(char *out, int index, int chunks) {
    const char *head = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\","
                       "\"created\":1760000000,\"model\":\"bench-model\",\"choices\":[";
    if (index < chunks)
        return sprintf(out, "%s{\"index\":0,\"delta\":{%s\"content\":\" word%03d\"},"
                            "\"logprobs\":null,\"finish_reason\":null}]}\n\n",
                       head, index ? "" : "\"role\":\"assistant\",", index);
    if (index == chunks)
        return sprintf(out, "%s{\"index\":0,\"delta\":{},\"logprobs\":null,"
                            "\"finish_reason\":\"stop\"}]}\n\n", head);
    if (index == chunks + 1)
        return sprintf(out, "%s],\"usage\":{\"prompt_tokens\":57,\"completion_tokens\":%d,"
                            "\"total_tokens\":%d}}\n\n", head, chunks, chunks + 57);
    return sprintf(out, "data: [DONE]\n\n");
}

static void make_stream(int chunks) {
    const char *head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                       "transfer-encoding: chunked\r\n\r\n";
    stream_event_count = chunks + 3;  // the words, the finish, the usage, [DONE]
    stream_events = calloc((size_t)stream_event_count, sizeof *stream_events);
    for (int i = 0; i < stream_event_count; i++) {
        char event[EVENT_BYTES_MAX], size[32];
        int length = write_event(event, i, chunks);
        if (i == 0) append(&stream_events[i], head, strlen(head));
        append(&stream_events[i], size, (size_t)sprintf(size, "%x\r\n", length));
        append(&stream_events[i], event, (size_t)length);
        append(&stream_events[i], "\r\n", 2);
        if (i == stream_event_count - 1) append(&stream_events[i], "0\r\n\r\n", 5);
        append(&burst, stream_events[i].bytes, stream_events[i].length);
    }
}

// Answers are far smaller than a socket buffer; a client that does not read makes us wait for it.
static void send_text(Connection *c, const Text *text) {
    for (size_t sent = 0; sent < text->length;) {
        ssize_t n = send(c->descriptor, text->bytes + sent, text->length - sent, MSG_NOSIGNAL);
        if (n >= 0) sent += (size_t)n;
        else if (errno == EAGAIN) usleep(50);
        else return;  // the client went away; the next read says so
    }
}

static void pace(Connection *c) {
    c->next_paced = NULL;
    if (paced_last) paced_last->next_paced = c;
    else paced_first = c;
    paced_last = c;
}

static size_t body_length(const char *request, const char *head_end) {
    const char *header = strcasestr(request, "\r\ncontent-length:");
    return header && header < head_end ? strtoul(header + 17, NULL, 10) : 0;
}

static bool path_ends(const char *request, const char *end) {
    const char *line_end = strstr(request, " HTTP/");
    size_t length = strlen(end);
    return line_end && line_end - request > (long)length &&
           memcmp(line_end - length, end, length) == 0;
}

static void answer(Connection *c, const char *body, size_t length) {
    if (path_ends(c->request, "/models")) {
        send_text(c, &models_answer);
    } else if (!path_ends(c->request, "/completions")) {
        send_text(c, &missing_answer);  // a tokenizer, for one: an engine may have none
    } else if (!memmem(body, length, "\"stream\":true", 13) &&
               !memmem(body, length, "\"stream\": true", 14)) {
        send_text(c, &whole_answer);
    } else if (interval_ns == 0) {
        send_text(c, &burst);
    } else {
        c->next_event = 0;
        c->due_ns = now_ns() + interval_ns;
        pace(c);
    }
}

// Answers every whole request received; a paced stream holds back the requests behind it.
static void serve(Connection *c) {
    while (c->next_event < 0) {
        c->request[c->received] = 0;
        char *head_end = memmem(c->request, c->received, "\r\n\r\n", 4);
        if (!head_end) return;
        size_t head = (size_t)(head_end + 4 - c->request), body = body_length(c->request, head_end);
        if (c->received < head + body) return;
        answer(c, c->request + head, body);
        memmove(c->request, c->request + head + body, c->received - head - body);
        c->received -= head + body;
    }
}

static void drop(Connection *c) {
    close(c->descriptor);
    c->descriptor = -1;
    if (c->next_event >= 0) return;  // still in the paced queue, which frees it
    free(c->request);
    free(c);
}

static void receive(Connection *c) {
    if (c->capacity - c->received < REQUEST_BYTES_START / 2 && c->capacity < REQUEST_BYTES_MAX) {
        c->capacity *= 2;
        c->request = realloc(c->request, c->capacity);
        if (!c->request) fail("memory");
    }
    ssize_t n = read(c->descriptor, c->request + c->received, c->capacity - c->received - 1);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        drop(c);
        return;
    }
    c->received += (size_t)n;
    serve(c);
}

static void accept_one(int listener) {
    int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (descriptor < 0) return;
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Connection *c = calloc(1, sizeof *c);
    c->descriptor = descriptor;
    c->capacity = REQUEST_BYTES_START;
    c->request = malloc(c->capacity);
    c->next_event = -1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event)) fail("epoll_ctl");
}

static void send_due_events(void) {
    uint64_t now = now_ns();
    while (paced_first && paced_first->due_ns <= now) {
        Connection *c = paced_first;
        paced_first = c->next_paced;
        if (!paced_first) paced_last = NULL;
        if (c->descriptor < 0) {
            free(c->request);
            free(c);
            continue;
        }
        send_text(c, &stream_events[c->next_event]);
        if (++c->next_event < stream_event_count) {
            c->due_ns += interval_ns;
            pace(c);
        } else {
            c->next_event = -1;
            serve(c);
        }
    }
}

static int listen_on(int port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (bind(listener, (void *)&address, length) || listen(listener, 4096)) fail("listen");
    getsockname(listener, (void *)&address, &length);
    printf("{\"port\": %d}\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"port", 1, 0, 'p'}, {"chunks", 1, 0, 'c'},
                                            {"interval-us", 1, 0, 'i'}, {0}};
    int port = 0, chunks = 64;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'p') port = atoi(optarg);
        else if (o == 'c') chunks = atoi(optarg);
        else if (o == 'i') interval_ns = strtoull(optarg, NULL, 10) * 1000;
        else return 1;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    make_answers();
    make_stream(chunks);
    poller = epoll_create1(0);
    int listener = listen_on(port);
    struct epoll_event event = {.events = EPOLLIN}, ready[EVENTS_PER_WAIT];
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event)) fail("epoll_ctl");
    for (;;) {
        struct timespec wait = {0}, *limit = NULL;
        if (paced_first) {
            uint64_t now = now_ns(), left = paced_first->due_ns > now ? paced_first->due_ns - now : 0;
            wait = (struct timespec){.tv_sec = (time_t)(left / 1000000000u),
                                     .tv_nsec = (long)(left % 1000000000u)};
            limit = &wait;
        }
        int count = epoll_pwait2(poller, ready, EVENTS_PER_WAIT, limit, NULL);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.ptr) receive(ready[i].data.ptr);
            else accept_one(listener);
        }
        send_due_events();
    }
}

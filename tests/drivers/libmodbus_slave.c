/* A Modbus slave of libmodbus, which is neither ours nor pymodbus: a stranger at the far end of the wire.
 *
 *   slave rtu PORT UNIT      slave tcp UNIT
 *
 * First it is told on standard input what it holds and where it is difficult, one line each, up to "go":
 *   coil|discrete|input|holding AT VALUE       one register or bit
 *   float-big|float-little TABLE AT VALUE      a float, made by libmodbus itself; the word that comes first
 *   int32 TABLE AT VALUE                       high word first, by libmodbus's own macro
 *   refuse AT CODE TIMES                       requests that begin at AT get this exception, so often
 *   silent AT TIMES                            requests that begin at AT get no answer, so often
 *   no TABLE FROM                              the table ends before this address
 * Then it says "ready PORT" (0 on a serial line) and serves until standard input closes; for every request that it
 * has answered it prints "FUNCTION AT", and what its registers hold there after a write.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE 65536
#define FEW 16

struct trouble { int at, code, times; };

static modbus_mapping_t *map;
static int is_tcp, unit;
static struct trouble troubles[FEW];
static int trouble_count;

static void die(const char *what) {
    fprintf(stderr, "slave: %s: %s\n", what, modbus_strerror(errno));
    exit(1);
}

static uint16_t *words(const char *table) {
    return strcmp(table, "input") ? map->tab_registers : map->tab_input_registers;
}

static int end_table(const char *table, int from) {
    if (!strcmp(table, "coil")) map->nb_bits = from;
    else if (!strcmp(table, "discrete")) map->nb_input_bits = from;
    else if (!strcmp(table, "input")) map->nb_input_registers = from;
    else map->nb_registers = from;
    return 1;
}

static int take(const char *line) {
    char word[16], table[16];
    int at, value, times;
    double number;
    if (sscanf(line, "refuse %d %d %d", &at, &value, &times) == 3 || (value = 0, sscanf(line, "silent %d %d", &at, &times) == 2)) {
        if (trouble_count == FEW) return 0;
        troubles[trouble_count++] = (struct trouble){at, value, times};
        return 1;
    }
    if (sscanf(line, "no %15s %d", table, &at) == 2) return end_table(table, at);
    if (sscanf(line, "int32 %15s %d %d", table, &at, &value) == 3) {
        MODBUS_SET_INT32_TO_INT16(words(table), at, value);
        return 1;
    }
    if (sscanf(line, "float-%7s %15s %d %lf", word, table, &at, &number) == 4) {
        uint16_t *to = words(table) + at, first;
        modbus_set_float((float)number, to); /* low word first; those that name an order differ between versions */
        first = to[0];
        if (!strcmp(word, "big")) to[0] = to[1], to[1] = first;
        return 1;
    }
    if (sscanf(line, "%15s %d %d", table, &at, &value) != 3 || at < 0 || at >= SIZE) return 0;
    if (!strcmp(table, "coil")) map->tab_bits[at] = (uint8_t)value;
    else if (!strcmp(table, "discrete")) map->tab_input_bits[at] = (uint8_t)value;
    else words(table)[at] = (uint16_t)value;
    return 1;
}

static void say(int function, int at, int count) {
    printf("%d %d", function, at);
    if (function == 5) printf(" %d", map->tab_bits[at]);
    if (function == 6) count = 1;
    if (function == 6 || function == 16)
        for (int k = 0; k < count; k++) printf(" %d", map->tab_registers[at + k]);
    printf("\n");
    fflush(stdout);
}

static struct trouble *trouble_at(int at) {
    for (int k = 0; k < trouble_count; k++)
        if (troubles[k].at == at && troubles[k].times > 0) return &troubles[k];
    return NULL;
}

static void answer(modbus_t *ctx, const uint8_t *query, int length) {
    const uint8_t *pdu = query + modbus_get_header_length(ctx);
    int at = pdu[1] << 8 | pdu[2], count = pdu[3] << 8 | pdu[4];
    struct trouble *trouble = trouble_at(at);
    if (is_tcp && query[6] != unit) return; /* over TCP libmodbus answers for every unit */
    if (trouble) {
        trouble->times--;
        if (trouble->code) modbus_reply_exception(ctx, query, (unsigned)trouble->code);
    } else if (modbus_reply(ctx, query, length, map) > (is_tcp ? 9 : 5)) { /* longer than an exception */
        say(pdu[0], at, count);
    }
}

static int has_ended(void) {
    struct pollfd in = {.fd = 0, .events = POLLIN};
    return poll(&in, 1, 0) > 0;
}

/* Until the peer is gone (TCP) or whoever started us is. */
static void serve(modbus_t *ctx) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    struct pollfd fds[2] = {{.fd = 0, .events = POLLIN}, {.fd = modbus_get_socket(ctx), .events = POLLIN}};
    while (poll(fds, 2, -1) > 0 && !fds[0].revents) {
        int length = modbus_receive(ctx, query);
        if (length > 0) answer(ctx, query, length);
        else if (length < 0 && is_tcp) return;
        else if (length < 0 && errno != ETIMEDOUT && errno != EMBBADCRC && errno != EMBBADDATA) exit(0);
    }
}

static int listen_tcp(modbus_t *ctx) {
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    int server = modbus_tcp_listen(ctx, 2);
    if (server < 0 || getsockname(server, (struct sockaddr *)&own, &size)) die("cannot listen");
    printf("ready %d\n", ntohs(own.sin_port));
    fflush(stdout);
    return server;
}

int main(int argc, char **argv) {
    char line[128];
    is_tcp = argc == 3;
    if (argc != 3 && argc != 4) return 2;
    unit = atoi(argv[argc - 1]);
    map = modbus_mapping_new(SIZE, SIZE, SIZE, SIZE);
    modbus_t *ctx = is_tcp ? modbus_new_tcp("127.0.0.1", 0) : modbus_new_rtu(argv[2], 115200, 'N', 8, 1);
    if (!map || !ctx || modbus_set_slave(ctx, unit)) die("cannot begin");
    /* byte by byte: what was buffered ahead would hide from poll */
    setvbuf(stdin, NULL, _IONBF, 0);
    while (fgets(line, sizeof line, stdin) && strcmp(line, "go\n"))
        if (!take(line)) {
            fprintf(stderr, "slave: what is %s", line);
            return 2;
        }
    if (!is_tcp) {
        if (modbus_connect(ctx)) die(argv[2]);
        printf("ready 0\n");
        fflush(stdout);
        serve(ctx);
        return 0;
    }
    int server = listen_tcp(ctx);
    struct pollfd fds[2] = {{.fd = 0, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    while (poll(fds, 2, -1) > 0 && !fds[0].revents && !has_ended()) {
        if (modbus_tcp_accept(ctx, &server) < 0) die("cannot accept");
        serve(ctx);
        modbus_close(ctx);
    }
    return 0;
}

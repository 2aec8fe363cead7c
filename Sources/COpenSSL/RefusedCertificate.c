// A client session forgets a certificate that it refuses; what it was is kept here for reports.
#include "COpenSSL.h"
#include <openssl/crypto.h>

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static int slot = -1;

static void drop(void *parent, void *certificate, CRYPTO_EX_DATA *data, int index, long argl, void *argp) {
    (void)parent, (void)data, (void)index, (void)argl, (void)argp;
    X509_free(certificate);
}

static void reserve(void) { slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, drop); }

static int keep(int holds, X509_STORE_CTX *context) {
    if (holds || slot < 0) return holds;
    SSL *session = X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *leaf = X509_STORE_CTX_get0_cert(context);
    if (!session || !leaf || SSL_get_ex_data(session, slot) || !X509_up_ref(leaf)) return holds;
    if (!SSL_set_ex_data(session, slot, leaf)) X509_free(leaf);
    return holds;
}

void mt_ssl_verify(SSL *session, int mode) {
    CRYPTO_THREAD_run_once(&once, reserve);
    SSL_set_verify(session, mode, keep);
}

X509 *mt_ssl_peer_certificate(SSL *session) {
    X509 *seen = SSL_get1_peer_certificate(session);
    if (seen || slot < 0) return seen;
    X509 *refused = SSL_get_ex_data(session, slot);
    if (refused) X509_up_ref(refused);
    return refused;
}

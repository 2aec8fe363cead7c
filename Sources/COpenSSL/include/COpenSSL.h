// libssl and libcrypto, plus the function-like macros Swift cannot see, one line each. No logic.
#ifndef MARTLET_COPENSSL_H
#define MARTLET_COPENSSL_H

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// contexts
static inline long mt_ctx_min_version(SSL_CTX *c, int v) { return SSL_CTX_set_min_proto_version(c, v); }
static inline long mt_ctx_max_version(SSL_CTX *c, int v) { return SSL_CTX_set_max_proto_version(c, v); }
static inline long mt_ctx_mode(SSL_CTX *c, long m) { return SSL_CTX_set_mode(c, m); }
static inline uint64_t mt_ctx_options(SSL_CTX *c, uint64_t o) { return SSL_CTX_set_options(c, o); }
static inline long mt_ctx_groups(SSL_CTX *c, const char *l) { return SSL_CTX_set1_groups_list(c, l); }
static inline long mt_ctx_cache_mode(SSL_CTX *c, long m) { return SSL_CTX_set_session_cache_mode(c, m); }
static inline long mt_ctx_dh_auto(SSL_CTX *c) { return SSL_CTX_set_dh_auto(c, 1); }
typedef int (*mt_servername_fn)(SSL *ssl, int *alert, void *arg);
static inline void mt_ctx_servername(SSL_CTX *c, mt_servername_fn f, void *arg) {
    SSL_CTX_set_tlsext_servername_callback(c, f);
    SSL_CTX_set_tlsext_servername_arg(c, arg);
}
static inline uint64_t mt_op_no_ticket(void) { return SSL_OP_NO_TICKET; }
static inline uint64_t mt_op_common(void) {
    return SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_PRIORITIZE_CHACHA;
}
static inline long mt_mode_common(void) {
    return SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS;
}

// sessions
static inline long mt_ssl_host_name(SSL *s, const char *n) { return SSL_set_tlsext_host_name(s, n); }
static inline int mt_ssl_negotiated_group(SSL *s) { return (int)SSL_get_negotiated_group(s); }
static inline const char *mt_ssl_group_name(SSL *s) {
    int id = (int)SSL_get_negotiated_group(s);
    return id == 0 ? NULL : SSL_group_to_name(s, id);
}
static inline int mt_store_ctx_ssl(X509_STORE_CTX *c, SSL *s) {
    return X509_STORE_CTX_set_ex_data(c, SSL_get_ex_data_X509_STORE_CTX_idx(), s);
}
static inline STACK_OF(X509) *mt_x509_stack(void) { return sk_X509_new_null(); }
static inline void mt_x509_push(STACK_OF(X509) *s, X509 *x) { sk_X509_push(s, x); }
static inline void mt_x509_free_all(STACK_OF(X509) *s) { sk_X509_pop_free(s, X509_free); }
/// Like SSL_set_verify without a callback; the certificate of a handshake refused for it can still be asked for.
void mt_ssl_verify(SSL *s, int mode);
/// The peer's certificate, accepted or refused; the caller's to free.
X509 *mt_ssl_peer_certificate(SSL *s);

// BIO pairs
static inline int mt_bio_pending(BIO *b) { return (int)BIO_ctrl_pending(b); }
/// A pair: `inner` for the session, `outer` for the socket side. 1 on success.
static inline int mt_bio_pair(BIO **inner, BIO **outer, size_t n) { return BIO_new_bio_pair(inner, n, outer, n); }

// keys and certificates
static inline EVP_PKEY *mt_new_ec_key(void) { return EVP_EC_gen("P-256"); }
static inline EVP_PKEY *mt_new_rsa_key(unsigned bits) { return EVP_RSA_gen(bits); }
static inline EVP_PKEY *mt_new_ed25519_key(void) { return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"); }
static inline long mt_bio_bytes(BIO *b, char **p) { return BIO_get_mem_data(b, p); }

/// Calls `each` with every DNS name of the first certificate in the PEM file; 0 when there is none to read.
int mt_certificate_dns_names(const char *path, void (*each)(const unsigned char *name, int length, void *argument),
                             void *argument);

#endif

package marketplace_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/signature"
)

func in(region marketplace.Region) func(*marketplace.Config) {
	return func(c *marketplace.Config) { c.URL, c.Region = "", region }
}

const (
	mainHost   = "mkt.myhuaweicloud.com"
	secondHost = "mkt.myhuaweicloud.cn"
)

func TestRegion_Hosts(t *testing.T) {
	t.Parallel()
	for region, host := range map[marketplace.Region]string{
		marketplace.China: mainHost, marketplace.International: "mkt-intl.myhuaweicloud.com", marketplace.Europe: "mkt.myhuaweicloud.eu",
	} {
		c := offline(t, func(r *http.Request) (*http.Response, error) {
			assert.Equal(t, "https://"+host+orderPath+"?orderId=CS1", r.URL.String())
			assert.Equal(t, host, r.Host)
			return response(r, 200, orderAnswer), nil
		}, in(region))
		_, err := c.QueryOrder(t.Context(), "CS1", "")
		require.NoError(t, err)
	}
	assert.Nil(t, marketplace.Region("mars").Hosts())
	document, err := openapi.FS.ReadFile("marketplace.yaml")
	require.NoError(t, err)
	for _, region := range []marketplace.Region{marketplace.China, marketplace.International, marketplace.Europe} {
		for _, host := range region.Hosts() {
			assert.Contains(t, string(document), "`"+host+"`")
		}
	}
}

// TestRegion_WithARealTransport: what net/http itself says when there is no such host, nobody listens, or a dial hangs.
func TestRegion_WithARealTransport(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, secondHost, r.Host)
		say(w, 200, `{"error_code":"MKT.0000"}`)
	}))
	defer server.Close()
	for name, dialMain := range map[string]func(context.Context, *net.Dialer) (net.Conn, error){
		"no such host": func(ctx context.Context, d *net.Dialer) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", "main.invalid:443")
		},
		"nobody listens": func(ctx context.Context, d *net.Dialer) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", "127.0.0.1:1")
		},
		"hangs": func(ctx context.Context, _ *net.Dialer) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"hangs in the handshake": func(context.Context, *net.Dialer) (net.Conn, error) {
			ours, _ := net.Pipe()
			return ours, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			transport := server.Client().Transport.(*http.Transport).Clone()
			defer transport.CloseIdleConnections()
			transport.TLSClientConfig.ServerName = "example.com" // what the server's certificate is for
			transport.DialContext = func(ctx context.Context, _, address string) (net.Conn, error) {
				if address == mainHost+":443" {
					return dialMain(ctx, &net.Dialer{})
				}
				return (&net.Dialer{}).DialContext(ctx, "tcp", server.Listener.Addr().String())
			}
			c, err := marketplace.New(marketplace.Config{
				Region: marketplace.China, Credentials: signature.Credentials{AK: ak, SK: sk}, HTTPClient: &http.Client{Transport: transport},
				RetryMax: 1, RetryWaitMin: time.Nanosecond, RetryWaitMax: time.Nanosecond, Timeout: 500 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
			})
			require.NoError(t, err)
			require.NoError(t, c.PushUsageOld(t.Context(), []marketplaceapi.UsageRecordOld{recordOld()}), "although it is not repeatable")
		})
	}
}

func TestRegion_SecondHostWhileTheFirstCannotBeReached(t *testing.T) {
	t.Parallel()
	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for name, fail := range map[string]func(*http.Request) error{
		"no connection": func(*http.Request) error { return dial },
		"no such host":  func(*http.Request) error { return &net.DNSError{Err: "no such host"} },
		"no connection in time": func(r *http.Request) error {
			httptrace.ContextClientTrace(r.Context()).GetConn(mainHost + ":443")
			<-r.Context().Done()
			return r.Context().Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var asked []string
				down := []string{mainHost}
				c := offline(t, func(r *http.Request) (*http.Response, error) {
					asked = append(asked, r.Host)
					assert.Equal(t, r.Host, r.URL.Host)
					if slices.Contains(down, r.Host) {
						return nil, fail(r)
					}
					return response(r, 200, orderAnswer), nil
				}, in(marketplace.China))
				query := func() []string {
					asked = nil
					_, err := c.QueryOrder(t.Context(), "CS1", "")
					require.NoError(t, err)
					return asked
				}
				assert.Equal(t, []string{mainHost, secondHost}, query(), "the next attempt goes to the second host")
				assert.Equal(t, []string{secondHost}, query(), "and so do those of the next minutes")
				down = nil
				time.Sleep(4 * time.Minute)
				assert.Equal(t, []string{secondHost}, query())
				time.Sleep(time.Minute)
				assert.Equal(t, []string{mainHost}, query(), "then the first is tried again")
				down = []string{mainHost}
				query()
				down = []string{secondHost}
				assert.Equal(t, []string{secondHost, mainHost}, query(), "and when the second cannot be reached")
				down = []string{mainHost, secondHost}
				asked = nil
				_, err := c.QueryOrder(t.Context(), "CS1", "")
				require.ErrorContains(t, err, "after 5 attempts")
				assert.Equal(t, []string{mainHost, secondHost, mainHost, secondHost, mainHost}, asked)
			})
		})
	}
}

func TestRegion_WhatIsNoReasonForTheSecondHost(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*http.Request) (*http.Response, error){
		"lost": func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "read", Err: errors.New("reset")}
		},
		"answered": func(r *http.Request) (*http.Response, error) { return response(r, 503, ""), nil },
		"certificate": func(*http.Request) (*http.Response, error) {
			return nil, &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
		},
		"certificate, told as no connection": func(r *http.Request) (*http.Response, error) {
			httptrace.ContextClientTrace(r.Context()).GetConn("")
			return nil, &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := offline(t, func(r *http.Request) (*http.Response, error) {
				assert.Equal(t, mainHost, r.Host, name)
				return fail(r)
			}, in(marketplace.China))
			for range 2 {
				_, err := c.QueryOrder(t.Context(), "CS1", "")
				require.Error(t, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // a caller who gives up says nothing about the host
		c := offline(t, func(r *http.Request) (*http.Response, error) {
			assert.Equal(t, mainHost, r.Host)
			httptrace.ContextClientTrace(r.Context()).GetConn("")
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, in(marketplace.China))
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := c.QueryOrder(ctx, "CS1", "")
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
	})
}

// TestRegion_OldPushGoesToTheSecondHost: what is not repeatable is repeated where it certainly was not sent.
func TestRegion_OldPushGoesToTheSecondHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		c := offline(t, func(r *http.Request) (*http.Response, error) {
			if asked = append(asked, r.Host); len(asked) == 1 {
				return nil, &net.DNSError{Err: "no such host"}
			}
			return response(r, 200, `{"error_code":"MKT.0000"}`), nil
		}, in(marketplace.China))
		require.NoError(t, c.PushUsageOld(t.Context(), []marketplaceapi.UsageRecordOld{recordOld()}))
		assert.Equal(t, []string{mainHost, secondHost}, asked)
	})
}

func TestRequestsPerSecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var mu sync.Mutex
		var sent []time.Duration
		c := offline(t, func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, time.Since(start))
			return response(r, 200, orderAnswer), nil
		}, func(c *marketplace.Config) { c.RequestsPerSecond, c.Timeout = 4, time.Millisecond }) // waiting is not part of an attempt
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				_, err := c.QueryOrder(t.Context(), "CS1", "")
				assert.NoError(t, err)
			})
		}
		all.Wait()
		for i, at := range sent {
			assert.Equal(t, time.Duration(i)*250*time.Millisecond, at)
		}
		time.Sleep(time.Hour)
		start, sent = time.Now(), nil
		for range 2 {
			_, err := c.QueryOrder(t.Context(), "CS1", "")
			require.NoError(t, err)
		}
		assert.Equal(t, []time.Duration{0, 250 * time.Millisecond}, sent, "idle time is not saved up")

		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := c.QueryOrder(ctx, "CS1", "")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Len(t, sent, 2)
	})
}

// TestClient_TooManyCallsPausesTheWholeClient: a call that was not refused itself waits too.
func TestClient_TooManyCallsPausesTheWholeClient(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		body   string
		header []string
		pause  time.Duration
	}{
		"Retry-After":             {429, ``, []string{"Retry-After", "7"}, 7 * time.Second},
		"Retry-After is capped":   {429, ``, []string{"Retry-After", "700"}, 30 * time.Second},
		"without a Retry-After":   {429, ``, nil, time.Second},
		"frequency limit":         {406, `{"resultCode":"MKT.0250"}`, []string{"Retry-After", "3"}, 3 * time.Second},
		"by the gateway":          {403, `{"error_code":"APIGW.0308"}`, nil, time.Second},
		"another code in its way": {401, `{"resultCode":"MKT.0150"}`, []string{"Retry-After", "3"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				first := true
				c := offline(t, func(r *http.Request) (*http.Response, error) {
					if first {
						first = false
						return response(r, tt.status, tt.body, tt.header...), nil
					}
					return response(r, 200, orderAnswer), nil
				}, func(c *marketplace.Config) { c.RetryMax = -1 })
				_, err := c.QueryOrder(t.Context(), "CS1", "")
				var refused *marketplace.Error
				require.ErrorAs(t, err, &refused)
				start := time.Now()
				_, err = c.QueryOrder(t.Context(), "CS1", "")
				require.NoError(t, err)
				assert.Equal(t, tt.pause, time.Since(start))
			})
		})
	}
}

using System.Runtime.InteropServices;

namespace Carillon.Hub;

/// <summary>
/// The memory that the subscriptions of all connections take, and the share of it that each account has: one that invents channels fills its own share, and everybody else goes on
/// joining. Not safe for use by several threads at once.
/// </summary>
/// <param name="limit">How many bytes all subscriptions may take.</param>
sealed class SubscriptionBudget(long limit)
{
    // Measured on 64 bits, rounded up: a channel with its room, its policies and the people who are present in it; a connection's place in all of these.
    public const int ChannelCost = 2048, JoinCost = 512;

    // An account cannot keep more than one in so many from the others.
    const int Shares = 8;

    readonly Dictionary<string, long> _accounts = new(StringComparer.Ordinal);
    long _held;

    /// <summary>How many bytes are taken.</summary>
    public long Held => Volatile.Read(ref _held);

    /// <summary>How many accounts have taken some.</summary>
    public int Accounts => _accounts.Count;

    /// <summary>Takes bytes for an account. False: nothing was taken; the account has used its share, or all together theirs.</summary>
    public bool TryTake(string account, long bytes)
    {
        var mine = _accounts.GetValueOrDefault(account);
        if (_held + bytes > limit || mine + bytes > limit / Shares) return false;
        Take(account, bytes);
        return true;
    }

    /// <summary>Takes bytes whether there are enough or not: for channels that every connection has, and whose number is bounded by that of connections.</summary>
    public void Take(string account, long bytes)
    {
        CollectionsMarshal.GetValueRefOrAddDefault(_accounts, account, out _) += bytes;
        Volatile.Write(ref _held, _held + bytes);
    }

    /// <summary>Gives back what was taken.</summary>
    public void GiveBack(string account, long bytes)
    {
        Volatile.Write(ref _held, _held - bytes);
        if ((CollectionsMarshal.GetValueRefOrAddDefault(_accounts, account, out _) -= bytes) == 0) _accounts.Remove(account);
    }
}
